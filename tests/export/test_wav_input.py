import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from vqmm.config import AudioSpec, Data
from vqmm.data.file_records import file_records
from vqmm.data.readers import audio_reader
from vqmm.export.sound_bytes_parity import wav_forms
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


@pytest.mark.parametrize("form", wav_forms(np.zeros(8, np.int16), RATE))
def test_all_forms_of_wav_are_read_as_in_preparation(read, tmp_path, form):
    sound = np.round(spoken(RATE)[:, 0] * 32767).astype(np.int16)
    data = wav_forms(sound, RATE)[form]
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    expected = prepared(path)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(read([data])[0], expected, atol=1.01 / 32768)


@pytest.mark.parametrize("channels", [2, 3, 4, 6])
def test_channels_of_opposite_phase_are_mixed_as_in_preparation(read, tmp_path, channels):
    rng = np.random.default_rng(channels)
    word = spoken(RATE)
    for number in range(6):
        signs = rng.choice([-1.0, -0.6, 0.5, 1.0], channels)
        hum = 0.3 * np.sin(2 * np.pi * 50 * np.arange(len(word)) / RATE)[:, None] * (number % 2)
        noise = 1e-3 * rng.standard_normal((len(word), channels))
        data = wav(0.5 * (word * signs + hum) + noise, RATE)
        path = tmp_path / f"{number}.wav"
        path.write_bytes(data)
        np.testing.assert_allclose(read([data])[0], prepared(path), atol=1.01 / 32768)


def test_a_batch_is_read_item_by_item(read):
    files = [wav(spoken(RATE, s), RATE) for s in (0.2, 0.5)]
    np.testing.assert_array_equal(read(files), np.concatenate([read(files[:1]), read(files[1:])]))


@pytest.mark.parametrize(
    "data, said",
    [
        (b"not a wav file at all", "no known form"),
        (b"", "no known form"),
        (b"fLaC" + bytes(60), "FLAC.*this takes WAV files .RIFF. of PCM"),
        (b"RF64" + bytes(60), "RF64"),
        (b"\xff\xfb" + bytes(60), "MP3"),
        (wav(spoken(RATE), RATE)[:36], "no chunk"),
        (wav(spoken(RATE), RATE)[:-1], r"truncated:\] \[15199\] \[of\] \[15200"),
        (wav(spoken(RATE), RATE) * 2, "several WAV files"),
        (wav(spoken(RATE)[:40] * 3, RATE), "least|silent"),
        (wav(np.full((RATE, 1), np.nan), RATE, "FLOAT"), "NaN or infinite"),
        (wav(np.zeros((RATE, 1)), RATE), "silent"),
        (wav(np.zeros((0, 1)), RATE), "no samples"),
        (wav(spoken(RATE, 2.0), RATE), "is the most"),
        (wav(spoken(500, 1.0), 500), "1000 to 192000 Hz"),
        (wav(spoken(RATE), RATE, "ULAW"), r"format\] \[7\] \[with\] \[8\] \[bits"),
        (wav(spoken(RATE), RATE, "IMA_ADPCM"), r"format\] \[17"),
    ],
    ids=[
        *("text", "nothing", "flac", "rf64", "mp3", "header", "truncated", "joined", "short", "nan"),
        *("silent", "empty", "long", "slow", "mu-law", "adpcm"),
    ],
)
def test_what_cannot_be_read_is_told_in_the_graph(read, data, said):
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        read([data])
