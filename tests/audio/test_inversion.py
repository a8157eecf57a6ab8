from __future__ import annotations

import keras
import librosa
import numpy as np
import pytest
import scipy.optimize

from vqmm.audio import LogMel, inversion, log_mel_to_audio

SETTINGS = {"sample_rate": 8_000, "n_fft": 256, "hop_length": 128, "fmin": 60.0, "fmax": None}


def log_mel(audio: np.ndarray) -> np.ndarray:
    layer = LogMel(**SETTINGS, mels=40)
    return keras.ops.convert_to_numpy(layer(audio[None]))[0]


def chord(samples: int = 8_192) -> np.ndarray:
    """Three tones that swell and fade."""
    time = np.arange(samples) / 8_000
    tones = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 660, 1_900))
    return (0.2 * tones * np.sin(np.pi * time / time[-1]) ** 2).astype("float32")


def test_the_spectrogram_comes_back():
    want = log_mel(chord())
    audio = log_mel_to_audio(want, **SETTINGS)
    assert audio.shape == (8_192,)
    assert audio.dtype == np.float32
    got = log_mel(audio)
    loud = want > want.max() - 3  # within 30 dB of the loudest
    assert np.abs(got - want)[loud].mean() < 0.2  # 2 dB


def test_the_tone_keeps_its_pitch():
    time = np.arange(8_192) / 8_000
    audio = log_mel_to_audio(log_mel((0.5 * np.sin(2 * np.pi * 1_000 * time)).astype("float32")), **SETTINGS)
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(8_192)))
    assert abs(np.argmax(spectrum) * 8_000 / 8_192 - 1_000) < 40


def test_the_seed_decides():
    grid = log_mel(chord(2_048))
    first = log_mel_to_audio(grid, **SETTINGS, seed=1)
    np.testing.assert_array_equal(first, log_mel_to_audio(grid, **SETTINGS, seed=1))
    assert not np.array_equal(first, log_mel_to_audio(grid, **SETTINGS, seed=2))


@pytest.mark.parametrize("level", [-5.0, 0.0, 40.0])
def test_any_output_of_a_model_gives_a_finite_waveform(level):
    audio = log_mel_to_audio(np.full((16, 40, 1), level, "float32"), **SETTINGS)
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() <= 1


def test_more_than_one_spectrogram_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 16, 40, 1\)"):
        log_mel_to_audio(np.zeros((2, 16, 40, 1)), **SETTINGS)


def test_power_is_spread_so_that_the_bands_have_it_again():
    """Against scipy's exact solver: bins are not unique, what the bands make of them is."""
    rng = np.random.default_rng(0)
    bands = librosa.filters.mel(sr=16_000, n_fft=1_024, n_mels=64, fmin=40, htk=True, norm=None).astype(
        "float64"
    )
    power = bands @ rng.exponential(size=(513, 1)) ** 3 * 10.0 ** rng.uniform(-4, 1, size=(1, 5))
    found = inversion._spread(bands, power)
    exact = np.stack([scipy.optimize.nnls(bands, column)[0] for column in power.T], axis=1)
    assert (found >= 0).all()
    error = np.abs(np.log10(bands @ found) - np.log10(bands @ exact))
    assert error.mean() < 0.02 and np.quantile(error, 0.9) < 0.02  # narrow low bands come last
