"""The stored form of a recording in a shard: WAV or FLAC, mono, 16 bit; a record's first bytes say which.

TensorFlow is not imported here, so that the workers of `prepare` start without it.
"""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt
import soundfile

from vqmm.config import StoredAudio
from vqmm.data.flac_decoder import read_flac
from vqmm.errors import UserError

WAV_HEADER = 44  # bytes before the samples of a WAV that `encode_audio` made
SUFFIXES: dict[StoredAudio, str] = {"wav": ".wav", "flac": ".flac"}
MEDIA_TYPES: dict[StoredAudio, str] = {"wav": "audio/wav", "flac": "audio/flac"}


def encode_audio(samples: npt.NDArray[np.int16], sample_rate: int, form: StoredAudio) -> bytes:
    """Encodes a recording for a record; the bytes are also a file that any player opens.

    Args:
        samples: i16[n].
        sample_rate: in Hz.
        form: "wav" or "flac".
    """
    buffer = io.BytesIO()
    if form == "flac":
        soundfile.write(buffer, samples, sample_rate, format="FLAC", subtype="PCM_16")
        return buffer.getvalue()
    with wave.open(buffer, "wb") as file:  # it writes a header of 44 bytes and nothing after the samples
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def stored_audio(data: bytes) -> StoredAudio:
    """Finds the stored form of a recording.

    Args:
        data: of a record. No bytes are a FLAC of no samples, as libsndfile writes it.

    Raises:
        UserError: it is neither WAV nor FLAC.
    """
    if data.startswith(b"RIFF"):
        return "wav"
    if data.startswith(b"fLaC") or not data:
        return "flac"
    raise UserError(
        f"a stored recording begins with {data[:4]!r}; b'RIFF' (WAV) and b'fLaC' (FLAC) are read; "
        "prepare the data again"
    )


def read_stored_audio(data: bytes) -> npt.NDArray[np.int16]:
    """Decodes a stored recording without TensorFlow.

    Returns:
        i16[n], the samples that `encode_audio` was given.
    """
    if stored_audio(data) == "flac":
        return read_flac(data)
    return np.frombuffer(data, "<i2", offset=WAV_HEADER).astype(np.int16)
