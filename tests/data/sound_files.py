"""Sound files of every format, and damage to them, for tests of what reads them."""

from __future__ import annotations

import io

import numpy as np
import soundfile

RATE = 16_000
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "float": ("WAV", "FLOAT"),
    "wavex": ("WAVEX", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}


def speech(seconds: float = 0.6, rate: int = RATE) -> np.ndarray:
    """A chirp with faint noise, so that no stretch of it is quiet or like another."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(7).standard_normal(time.size)
    return (0.4 * np.sin(2 * np.pi * (200 + 900 * time) * time) + 0.02 * noise).astype(np.float32)


def encode(sound: np.ndarray, kind: str, rate: int = RATE) -> bytes:
    """`sound` in one of `FORMATS`."""
    form, subtype = FORMATS[kind]
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """A file that was cut, or has some bytes of its header or of its sound changed."""
    changed = bytearray(data)
    way = rng.integers(4)
    if way == 0:
        return data[: rng.integers(1, len(data))]
    if way == 1:  # any field of the header
        at = int(rng.integers(4, min(200, len(data) - 4)))
        changed[at : at + 4] = rng.integers(0, 256, 4, np.uint8).tobytes()
    if way == 2:  # a length that lies: zeros or ones in four bytes of the header
        at = int(rng.integers(4, min(60, len(data) - 4)))
        changed[at : at + 4] = [b"\0\0\0\0", b"\xff\xff\xff\xff"][rng.integers(2)]
    if way == 3:
        for at in rng.integers(0, len(data), 3):
            changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)
