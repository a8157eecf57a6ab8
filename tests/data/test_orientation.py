"""The orientation of EXIF is read as Pillow reads it, and turned as Pillow turns it."""

from __future__ import annotations

import numpy as np
import pytest
from picture_files import exif
from PIL import Image, ImageOps

from vqmm.data.orientation import TURNS, orientation_of
from vqmm.data.pixels import Pixels, upright

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_as_pillow(orientation: int, order: str) -> None:
    data = exif(orientation, order)
    assert orientation_of(data) == orientation_of(b"Exif\0\0" + data) == orientation
    picture = Image.fromarray(PIXELS)
    picture.getexif()[0x0112] = orientation
    turned = upright(Pixels(PIXELS, PIXELS[:, :, :1]), orientation)
    np.testing.assert_array_equal(turned.colour, np.asarray(ImageOps.exif_transpose(picture)))
    assert turned.alpha is not None
    np.testing.assert_array_equal(turned.alpha, turned.colour[:, :, :1])


@pytest.mark.parametrize(
    "data", [b"", b"Exif\0\0", exif(9), exif(0), exif(6)[:20], b"II*\0\xff\xff\xff\xff", b"MM*\0" + bytes(40)]
)
def test_damaged_data_is_upright(data: bytes) -> None:
    assert orientation_of(data) == 1


def test_no_prefix_of_the_data_breaks_the_reader() -> None:
    data = exif(6, ">")
    assert {orientation_of(data[:length]) for length in range(len(data) + 1)} == {1, 6}
