"""Metadata of a PNG file is kept apart from its pixels, and never costs them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from picture_files import chunk, drawing, exif, png, saved, with_chunks
from PIL import Image

from vqmm.data.png_chunks import PROFILE_BYTES, read_png

WHOLE = saved(drawing(), "PNG")


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 * 2**20))),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2**21))),
        chunk(b"tEXt", b"no separator"),
        chunk(b"zTXt", b"Comment\0\7"),
        chunk(b"tIME", b""),
        chunk(b"acTL", b"x"),
        chunk(b"tEXt", b"wrong\0sum")[:-1] + b"?",
    ],
)
def test_metadata_is_left_out(extra: bytes) -> None:
    found = read_png(with_chunks(WHOLE, extra))
    assert found.data == WHOLE and found.notes == ()
    np.testing.assert_array_equal(_pixels(found.data), np.asarray(drawing()))


def test_a_profile_is_inflated_up_to_its_limit() -> None:
    def profile(data: bytes) -> bytes:
        return with_chunks(WHOLE, chunk(b"iCCP", b"name\0\0" + data))

    assert read_png(profile(zlib.compress(bytes(2**21)))).profile == bytes(2**21)
    for damaged in (zlib.compress(bytes(PROFILE_BYTES + 1)), zlib.compress(b"abc" * 99)[:-9], b"junk", b""):
        found = read_png(profile(damaged))
        assert found.profile is None and "damaged or has more than 4194304 bytes" in found.notes[0]


def test_what_stands_above_gamma() -> None:
    gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
    chrm = chunk(b"cHRM", struct.pack(">8I", *range(8)))
    found = read_png(with_chunks(WHOLE, gamma, chrm))
    assert found.gamma == 100_000 and found.chromaticities == tuple(range(8))
    for above in (chunk(b"sRGB", b"\0"), chunk(b"iCCP", b"n\0\0" + zlib.compress(b"profile"))):
        found = read_png(with_chunks(WHOLE, gamma, chrm, above))
        assert found.gamma is None and found.chromaticities is None
    assert read_png(with_chunks(WHOLE, chunk(b"eXIf", exif(6)))).exif == exif(6)


@pytest.mark.parametrize("bits, stated, key", [(2, 7, 3), (8, 0x1C8, 200), (16, 40_000, 40_000)])
def test_a_key_has_the_bits_of_a_sample(bits: int, stated: int, key: int) -> None:
    data = png(np.zeros((2, 2, 1), int), bits, 0, chunk(b"tRNS", struct.pack(">H", stated)))
    assert read_png(data).key == (key,)


def test_a_cut_file_is_named() -> None:
    with pytest.raises(ValueError, match="truncated: it ends before its last chunk"):
        read_png(WHOLE[:-12])
    with pytest.raises(ValueError, match="truncated in its chunk 'IDAT'"):
        read_png(WHOLE[:-40])
    with pytest.raises(ValueError, match="does not begin with one IHDR"):
        read_png(WHOLE[:8] + WHOLE[33:])
