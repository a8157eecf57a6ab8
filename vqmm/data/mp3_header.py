"""The first frame of an MP3: how many frames it states, and a first frame that states no end."""

from __future__ import annotations

import struct
from typing import NamedTuple

DECODER_DELAY = 529  # samples; mpg123 cuts them where a file has an Info frame
NO_END = 0x7FFF_FFFF  # frames: more than any file holds, so that the decoder reads to the end
TAGS = (b"Xing", b"Info")
MOST_SIDE = 32  # bytes between a frame's header and a tag
SEARCHED = 65_536  # bytes in which the first frame is looked for
_RATES = (44_100, 48_000, 32_000)
_KBITS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class Frame(NamedTuple):
    """The header of a frame of MPEG layer III.

    Attributes:
        size: bytes of the frame.
        samples: of each channel.
        side: bytes between the header and the place of an Info tag.
        rate: Hz.
        channels: 1 or 2.
    """

    size: int
    samples: int
    side: int
    rate: int
    channels: int


class Mp3Header(NamedTuple):
    """The beginning of an MP3.

    Attributes:
        start: byte of `data` after what `head` stands for.
        head: first frame, an Info frame that states `NO_END` frames.
        samples: in a frame.
        delay: samples that the decoder cuts from the beginning because of `head`.
        padding: samples that the encoder put after the end; 0 unknown.
        stated_frames: that the file states; None where it states none.
        stated_bytes: that the file states, from its Info frame on; None where it states none.
        begin: where that frame, or the first one of a file without it, begins.
    """

    start: int
    head: bytes
    samples: int
    delay: int
    padding: int
    stated_frames: int | None
    stated_bytes: int | None
    begin: int


def parse_frame(data: bytes) -> Frame | None:
    """Reads the four bytes of a frame's header; None for what is no frame of layer III with a bit rate."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE6 != 0xE2:
        return None
    version, bits, rate = data[1] >> 3 & 3, data[2] >> 4, data[2] >> 2 & 3
    if version == 1 or rate == 3 or bits in (0, 15):
        return None
    low = version != 3  # MPEG 2 and 2.5
    hertz = _RATES[rate] // {3: 1, 2: 2, 0: 4}[version]
    size = (72_000 if low else 144_000) * _KBITS[2 if low else 1][bits] // hertz + (data[2] >> 1 & 1)
    mono = data[3] >> 6 == 3
    return Frame(
        size=size,
        samples=576 if low else 1152,
        side=(9 if mono else 17) if low else (17 if mono else 32),
        rate=hertz,
        channels=1 if mono else 2,
    )


def read_mp3_header(data: bytes, size: int) -> Mp3Header | None:
    """Reads the first frame of an MP3.

    Args:
        data: its first bytes, ID3 tag left out.
        size: bytes of all of it.

    Returns:
        What it states; None where two frames in a row are not found.
    """
    for begin in range(max(0, min(len(data), SEARCHED) - 4)):
        frame = parse_frame(data[begin : begin + 4])
        if frame is None:
            continue
        follower = data[begin + frame.size : begin + frame.size + 4]
        if len(follower) == 4 and not _is_like(frame, parse_frame(follower)):
            continue
        return _described(data, begin, frame, size - begin)
    return None


def _is_like(frame: Frame, other: Frame | None) -> bool:
    return other is not None and (frame.rate, frame.channels) == (other.rate, other.channels)


def is_tagged(data: bytes, begin: int, frame: Frame) -> bool:
    """Returns whether the frame at `begin` holds no sound but a tag that states the length of the file."""
    tag = begin + 4 + frame.side
    return data[tag : tag + 4] in TAGS


def _described(data: bytes, begin: int, frame: Frame, there: int) -> Mp3Header:
    tag = begin + 4 + frame.side
    if is_tagged(data, begin, frame) and tag + 16 <= len(data) and data[tag + 7] & 1:
        head = bytearray(data[begin : begin + frame.size])
        flags = data[tag + 7]
        place = tag + 12
        frames = struct.unpack(">I", data[tag + 8 : place])[0]
        stated_bytes = None
        inside = tag - begin + 8
        head[inside : inside + 4] = struct.pack(">I", NO_END)
        if flags & 2:
            stated_bytes = struct.unpack(">I", data[place : place + 4])[0]
            head[inside + 4 : inside + 8] = struct.pack(">I", min(there, 0xFFFF_FFFF))
            place += 4
        place += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
        delay = padding = 0
        if place + 24 <= begin + frame.size and place + 24 <= len(data) and data[place]:  # a LAME tag
            pair = int.from_bytes(data[place + 21 : place + 24], "big")
            delay, padding = pair >> 12, pair & 0xFFF
        return Mp3Header(
            start=begin + frame.size,
            head=bytes(head),
            samples=frame.samples,
            delay=delay + DECODER_DELAY,
            padding=max(0, padding - DECODER_DELAY),
            stated_frames=frames or None,
            stated_bytes=stated_bytes or None,
            begin=begin,
        )
    silence = _info_frame(data[begin : begin + 4])
    return Mp3Header(begin, silence, frame.samples, DECODER_DELAY, 0, None, None, begin)


def _info_frame(header: bytes) -> bytes:
    """A frame of silence like the file's, of the highest bit rate and without a check sum, with a tag."""
    first = bytes([header[0], header[1] | 1, header[2] & 0x0D | 0xE0, header[3]])
    frame = parse_frame(first)
    if frame is None:
        raise ValueError(f"{header.hex()} is no header of MPEG layer III")
    made = bytearray(frame.size)
    made[:4] = first
    made[4 + frame.side : 16 + frame.side] = b"Info" + struct.pack(">II", 1, NO_END)
    return bytes(made)
