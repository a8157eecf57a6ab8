"""Recordings are stored without loss in either form, and their bytes say which form it is."""

from __future__ import annotations

import io

import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies
import numpy as np
import pytest
import soundfile
import tensorflow as tf

from vqmm.data.decode import decode_audio_record
from vqmm.data.stored_audio import WAV_HEADER, encode_audio, read_stored_audio, stored_audio
from vqmm.errors import UserError

FORMS = ("wav", "flac")
signals = hypothesis.extra.numpy.arrays(np.int16, hypothesis.strategies.integers(0, 200))


@hypothesis.settings(max_examples=50)
@hypothesis.given(signals)
def test_both_forms_hold_the_same_samples(samples: np.ndarray) -> None:
    for form in FORMS:
        data = encode_audio(samples, 8_000, form)
        assert stored_audio(data) == form
        read, decoded = read_stored_audio(data), decode_audio_record(data, form)
        assert read.dtype == np.int16 and decoded.dtype == tf.int16
        np.testing.assert_array_equal(read, samples)
        np.testing.assert_array_equal(decoded, samples)


@pytest.mark.parametrize("form", FORMS)
def test_a_stored_recording_is_a_file_that_others_read(form: str) -> None:
    samples = np.arange(-500, 501, dtype=np.int16)
    data = encode_audio(samples, 11_025, form)
    info = soundfile.info(io.BytesIO(data))
    assert (info.format, info.subtype) == (form.upper(), "PCM_16")
    assert (info.channels, info.samplerate, info.frames) == (1, 11_025, 1001)
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(data), dtype="int16")[0], samples)


def test_a_wav_is_its_header_and_the_samples_alone() -> None:
    samples = np.array([1, -2, 300], np.int16)
    data = encode_audio(samples, 8_000, "wav")
    assert data[WAV_HEADER:] == samples.astype("<i2").tobytes() and data[WAV_HEADER - 8 :][:4] == b"data"


def test_other_bytes_are_refused() -> None:
    with pytest.raises(UserError, match=r"begins with b'OggS'; b'RIFF' \(WAV\) and b'fLaC'"):
        read_stored_audio(b"OggS....")
