"""Finds the sound in a WAV or RF64 file, and how much of it the header states."""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

UNKNOWN_LENGTH = 0x7FFF_0000  # a WAV that was piped states this many bytes or more


class WavLayout(NamedTuple):
    """The sound of a WAV or RF64 file.

    Attributes:
        sizes: places of the numbers that state its length: `(byte, bytes of the number)`.
        start: first byte of the sound.
        stated: bytes of sound that the file states; None where it states none.
        there: bytes from `start` to the end of the file.
        block: bytes of a sample of all channels; 0 unknown.
        follows: what comes after that sound: `"chunks"` or nothing, `"wav"` for another file, or `"bytes"`.
    """

    sizes: tuple[tuple[int, int], ...]
    start: int
    stated: int | None
    there: int
    block: int
    follows: str


def read_wav_layout(file: BinaryIO, begin: int, end: int) -> WavLayout | None:
    """Finds the sound of the WAV or RF64 file that begins at byte `begin` of `file` and ends by `end`.

    Returns:
        Where it lies; None where there is no `data` chunk.
    """
    file.seek(begin)
    large = file.read(12)[:4] == b"RF64"
    place, block, long_size, long_place = begin + 12, 0, None, 0
    while place + 8 <= end:
        file.seek(place)
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            break
        head = file.read(min(size, 32))
        if name == b"fmt " and len(head) >= 14:
            block = struct.unpack_from("<H", head, 12)[0]
        if name == b"ds64" and len(head) >= 16:
            long_place, long_size = place + 16, struct.unpack_from("<Q", head, 8)[0]
        place += 8 + size + size % 2
    else:
        return None
    start, there = place + 8, end - place - 8
    sizes: tuple[tuple[int, int], ...] = ((place + 4, 4),)
    stated = size
    if large and long_size is not None:
        sizes = (*sizes, (long_place, 8))
        stated = long_size if size == 0xFFFF_FFFF else size
        unknown = stated > there and stated >= 1 << 62
    else:
        unknown = stated > there and stated >= UNKNOWN_LENGTH
    if unknown or (stated == 0 and there > 0 and not chunks_follow(file, start, end)):
        return WavLayout(sizes, start, None, there, block, "chunks")
    after = start + stated + stated % 2
    if after >= end or chunks_follow(file, after, end):
        return WavLayout(sizes, start, stated, there, block, "chunks")
    file.seek(after)
    first = file.read(12)
    other = "wav" if first[:4] in (b"RIFF", b"RF64") and first[8:] == b"WAVE" else "bytes"
    return WavLayout(sizes, start, stated, there, block, other)


def chunks_follow(file: BinaryIO, place: int, end: int) -> bool:
    """Returns whether the bytes from `place` are chunks with names in ASCII that end where the file ends."""
    while place + 8 <= end:
        file.seek(place)
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"RIFF" or not all(32 <= letter < 127 for letter in name):
            return False
        place += 8 + size + size % 2
    return place in (end, end + 1)  # the last one may lack its byte of padding
