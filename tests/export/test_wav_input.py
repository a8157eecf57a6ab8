import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from vqmm.config import AudioSpec, Data
from vqmm.data.file_records import file_records
from vqmm.data.readers import audio_reader
from vqmm.export.wav_input import wav_reader

RATE = 8000
SPEC = AudioSpec(sample_rate=RATE, samples=4096, trim_db=35, max_seconds=2.0)


def spoken(rate, seconds=0.4, before=0.3, after=0.25, channels=1):
    """Something like a word amid faint hiss, with an offset."""
    rng = np.random.default_rng(5)
    time = np.arange(int(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * f * time + f) / k for k, f in enumerate((220, 700, 1900), 1))
    word = 0.25 * tone * np.sin(np.pi * time / seconds) ** 0.5
    audio = np.concatenate([np.zeros(int(before * rate)), word, np.zeros(int(after * rate))])
    audio = audio + 2e-4 * rng.standard_normal(len(audio)) + 0.01
    return np.stack([audio * (1 - 0.3 * c) for c in range(channels)], axis=1)


def wav(audio, rate, subtype="PCM_16"):
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, format="WAV", subtype=subtype)
    return buffer.getvalue()


def prepared(path, spec=SPEC):
    """The window that evaluation gives the model of this file."""
    records = file_records([path], "audio", Data(audio=spec))
    return audio_reader(records, spec.samples, cached=True)(tf.constant([0], tf.int64), tf.zeros(1)).numpy()[
        0
    ]


@pytest.fixture(scope="module")
def read():
    return tf.function(wav_reader(SPEC), input_signature=[tf.TensorSpec((None,), tf.string)], autograph=False)


@pytest.mark.parametrize("seconds, channels", [(0.4, 1), (0.3, 2), (1.2, 1)])
def test_the_window_is_that_of_prepared_data(read, tmp_path, seconds, channels):
    data = wav(spoken(RATE, seconds, channels=channels), RATE)
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    expected = prepared(path)
    assert np.abs(expected).max() > 0.1
    # One step of 16 bits: sums come in another order.
    np.testing.assert_allclose(read([data])[0], expected, atol=1.01 / 32768)


@pytest.mark.parametrize("rate", [16_000, 44_100, 6_000])
def test_other_rates_are_resampled_as_in_preparation(read, tmp_path, rate):
    data = wav(spoken(rate), rate)
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    expected, found = prepared(path), read([data])[0].numpy()
    error = np.sum((found - expected) ** 2) / np.sum(expected**2)
    assert error < 1e-4  # 40 dB below


def test_a_batch_is_read_item_by_item(read):
    files = [wav(spoken(RATE, s), RATE) for s in (0.2, 0.5)]
    np.testing.assert_array_equal(read(files), np.concatenate([read(files[:1]), read(files[1:])]))


@pytest.mark.parametrize(
    "data, said",
    [
        (b"not a wav file at all", "Header mismatch"),
        (wav(np.zeros((RATE, 1)), RATE), "silent"),
        (wav(np.zeros((0, 1)), RATE), "no samples"),
        (wav(spoken(RATE, 2.0), RATE), "is the most"),
        (wav(spoken(500, 1.0), 500), "1000 to 192000 Hz"),
        (wav(spoken(RATE), RATE, "PCM_24"), "16-bit"),
    ],
    ids=["text", "silent", "empty", "long", "slow", "24 bit"],
)
def test_what_cannot_be_read_is_told_in_the_graph(read, data, said):
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        read([data])
