"""The chunks of a PNG file: what decides its pixels, kept apart from texts and other metadata."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PROFILE_BYTES = 4 * 2**20  # larger colour profiles are not inflated; printers' profiles have 0.5 to 3 MB
GREY, RGB, PALETTE = 0, 2, 3  # colour types that a colour key (tRNS) may belong to

# Each is read once; of a second one the first counts.
_SINGLE = (b"tRNS", b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"eXIf")


class PngFile(NamedTuple):
    """A PNG file without its metadata, and what its metadata says of the pixels.

    Attributes:
        data: the file with the chunks that its pixels need, and no other.
        bits: of a sample: 1, 2, 4, 8 or 16.
        key: samples of the colour that is transparent, one (grey) or three (RGB), at `bits`; or None.
        profile: ICC profile, or None.
        gamma: of the gAMA chunk, times 100,000; or None.
        chromaticities: of the cHRM chunk, times 100,000: x and y of white, red, green, blue; or None.
        exif: of the eXIf chunk, or b"".
        notes: what is wrong with the metadata and was ignored.
    """

    data: bytes
    bits: int
    key: tuple[int, ...] | None
    profile: bytes | None
    gamma: int | None
    chromaticities: tuple[int, ...] | None
    exif: bytes
    notes: tuple[str, ...]


def read_png(data: bytes) -> PngFile:
    """Reads the chunks of a PNG file. Texts, times, histograms and animations are left out.

    Args:
        data: the file.

    Returns:
        See `PngFile`. An sRGB chunk or a profile stands above gAMA and cHRM, which are then None.

    Raises:
        ValueError: the file ends before its last chunk (IEND), or its header is no IHDR of 13 bytes.
    """
    kept, found = [PNG_SIGNATURE], dict[bytes, bytes]()
    place, kind = len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        head = data[place : place + 8]
        if len(head) < 8:
            raise ValueError("the file is truncated: it ends before its last chunk (IEND)")
        size, kind = struct.unpack(">I4s", head)
        stop = place + 12 + size
        if stop > len(data):
            raise ValueError(f"the file is truncated in its chunk {kind.decode('ascii', 'replace')!r}")
        if (place == len(PNG_SIGNATURE)) != (kind == b"IHDR") or (kind == b"IHDR" and size != 13):
            raise ValueError("broken PNG: it does not begin with one IHDR chunk of 13 bytes")
        body = data[place + 8 : stop - 4]
        if kind in _SINGLE:
            found.setdefault(kind, body)
        # A chunk whose name begins with a capital must be understood: Pillow decides.
        if kind[:1].isupper() or (kind == b"tRNS" and data[25] == PALETTE):
            kept.append(data[place:stop])
        place = stop
    return _described(b"".join(kept), found, bits=data[24], colour_type=data[25])


def _described(data: bytes, found: dict[bytes, bytes], bits: int, colour_type: int) -> PngFile:
    notes: list[str] = []
    profile = None
    if b"iCCP" in found:
        profile = _inflated(found[b"iCCP"])
        if profile is None:
            notes.append(f"its colour profile is damaged or has more than {PROFILE_BYTES} bytes")
    gamma = chromaticities = None
    if b"sRGB" not in found and profile is None:
        gamma = int.from_bytes(found.get(b"gAMA", b""), "big") or None
        if len(found.get(b"cHRM", b"")) == 32:
            chromaticities = struct.unpack(">8I", found[b"cHRM"])
    key = None
    count = {GREY: 1, RGB: 3}.get(colour_type, 0)
    if count and len(found.get(b"tRNS", b"")) >= 2 * count:
        # Of a sample's two bytes those bits count that a pixel has.
        samples = struct.unpack(f">{count}H", found[b"tRNS"][: 2 * count])
        key = tuple(sample & ((1 << bits) - 1) for sample in samples)
    exif = found.get(b"eXIf", b"")
    return PngFile(data, bits, key, profile, gamma, chromaticities, exif, tuple(notes))


def _inflated(chunk: bytes) -> bytes | None:
    """The profile of an iCCP chunk: a name, a zero, the method 0, and a zlib stream."""
    _, _, rest = chunk.partition(b"\0")
    if rest[:1] != b"\0":
        return None
    stream = zlib.decompressobj()
    try:
        profile = stream.decompress(rest[1:], PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if stream.eof else None
