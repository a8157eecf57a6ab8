from __future__ import annotations

import warnings
from pathlib import Path

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.audio import LogMel


def clip(count: int, samples: int, seed: int = 0) -> np.ndarray:
    """Noise under a random envelope plus a tone, f32[count, samples]."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / samples
    noise = rng.normal(size=(count, samples)) * np.exp(-5 * time)
    tone = np.sin(2 * np.pi * rng.uniform(10, samples / 4, (count, 1)) * time)
    return (0.2 * noise + 0.3 * tone).astype("float32")


def reference(audio: np.ndarray, layer: LogMel) -> np.ndarray:
    """librosa's mel power of one clip without its last frame, [frames, mels]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "empty filters": bands narrower than a bin
        power = librosa.feature.melspectrogram(
            y=audio, sr=layer.sample_rate, n_fft=layer.n_fft, hop_length=layer.hop_length,
            n_mels=layer.mels, fmin=layer.fmin, fmax=layer.fmax,
            htk=True, norm=None, power=2.0, center=True, pad_mode="constant",
        )  # fmt: skip
    return power.T[: len(audio) // layer.hop_length]


@settings(max_examples=30)
@given(
    sample_rate=st.sampled_from([8_000, 11_025, 16_000, 44_100]),
    n_fft=st.sampled_from([64, 200, 256, 401, 512, 1024]),
    hop_length=st.integers(37, 400),
    mels=st.integers(1, 90),
    low=st.floats(0.0, 0.4),
    high=st.none() | st.floats(0.5, 1.0),
    samples=st.integers(1100, 5000),
    fourier=st.sampled_from(["fft", "matmul"]),
    seed=st.integers(0, 100),
)
def test_agrees_with_librosa(sample_rate, n_fft, hop_length, mels, low, high, samples, fourier, seed):
    half = sample_rate / 2
    fmax = None if high is None else high * half
    layer = LogMel(sample_rate, n_fft, hop_length, mels, low * half, fmax, floor=1e-30, fourier=fourier)
    audio = clip(2, samples, seed)
    got = 10.0 ** keras.ops.convert_to_numpy(layer(audio)).astype("float64")[..., 0]
    for i in range(2):
        want = reference(audio[i], layer)
        assert got[i].shape == want.shape == (samples // hop_length, mels)
        np.testing.assert_allclose(got[i], want, atol=1e-4 * max(want.max(), 1e-12))


def test_log_values_and_floor():
    layer = LogMel(8_000, 256, 128, 32, floor=1e-3)
    audio = clip(1, 2_048)
    audio[:, 1_024:] = 0
    got = keras.ops.convert_to_numpy(layer(audio))[0, ..., 0]
    np.testing.assert_allclose(got, np.log10(np.maximum(reference(audio[0], layer), 1e-3)), atol=1e-3)
    np.testing.assert_allclose(got[-3:], -3.0, atol=1e-6)


def test_a_clip_does_not_depend_on_its_neighbours():
    layer = LogMel(8_000, 256, 128, 32)
    audio = clip(4, 2_048)
    together = keras.ops.convert_to_numpy(layer(audio))
    audio[1:] *= 100
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(audio))[0], together[0])
    alone = keras.ops.convert_to_numpy(layer(audio[:1]))[0]
    np.testing.assert_allclose(alone, together[0], atol=1e-5)


def test_shape_is_known_before_the_batch():
    layer = LogMel(8_000, 256, 128, 40)
    symbolic = layer(keras.Input((8_192,)))
    assert symbolic.shape == (None, 64, 40, 1) == layer.compute_output_shape((None, 8_192))


def test_stays_float32_under_mixed_precision():
    audio = clip(2, 2_048)
    want = keras.ops.convert_to_numpy(LogMel(8_000, 256, 128, 32)(audio))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        got = LogMel(8_000, 256, 128, 32)(audio)
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(got), want)


def test_config_round_trip():
    layer = LogMel(16_000, 512, 160, 48, fmin=50.0, fmax=7_000.0, floor=1e-4, fourier="matmul", name="front")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()
    audio = clip(1, 4_000)
    np.testing.assert_array_equal(copy(audio), layer(audio))


@pytest.mark.parametrize(("n_fft", "fourier"), [(256, "fft"), (200, "matmul")])
def test_converts_to_tflite_builtins_and_agrees(tmp_path: Path, n_fft: int, fourier: str):
    layer = LogMel(8_000, n_fft, 128, 32, fourier=fourier)
    inputs = keras.Input((2_048,))
    model = keras.Model(inputs, layer(inputs))
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", model.call, input_signature=[tf.TensorSpec((None, 2_048), "float32")])
    archive.write_out(str(tmp_path), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path))
    serve = loaded.signatures["serve"]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve], loaded)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = Interpreter(model_content=converter.convert())
    for count in (1, 3):
        audio = clip(count, 2_048, seed=count)
        into = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(into, audio.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(into, audio)
        interpreter.invoke()
        got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_allclose(got, keras.ops.convert_to_numpy(layer(audio)), atol=1e-4)


@pytest.mark.parametrize(
    "bad",
    [{"fmax": 5_000.0}, {"fmin": 4_000.0}, {"mels": 0}, {"n_fft": 1}, {"floor": 0.0}, {"fourier": "dct"}],
)
def test_impossible_settings_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        LogMel(8_000, **bad)
