"""Forms of files in which readers have differed: equal codes, a refusal, and other codes are kept apart."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vqmm.config import ImageSpec
from vqmm.errors import UserError
from vqmm.export.picture_parity import compare_pictures, picture_forms

SPEC = ImageSpec(height=16, width=16, channels=1)
ITEMS = np.random.default_rng(0).uniform(0, 1, (2, 16, 16, 1)).astype(np.float32)


def _runner(decode):
    """Codes are the levels of the pixels, so that any pixel that differs shows."""

    def run(name):
        def codes(inputs):
            pixels = inputs["image"] if name == "encode_image" else decode(inputs["image_bytes"][0])
            levels = np.round(np.asarray(pixels).reshape(1, -1) * 255).astype(int) // 32
            return {"shared": levels, "private": levels[:, ::2]}

        return codes

    return run


@pytest.fixture
def read(tmp_path):
    from vqmm.data.read_image import load_image

    def by_prepare(data):
        (tmp_path / "a").write_bytes(data)
        return load_image(tmp_path / "a", SPEC)[None] / 255

    return by_prepare


def test_equal_readers_agree(read):
    found = compare_pictures(SPEC, ITEMS, _runner(read))
    assert found == {"items": 12, "agreement": 1.0, "shared": 1.0, "differ": [], "refused": {}}


def test_forms_with_other_codes_are_named(read):
    """A reader that turns nothing, as that of version 0.1."""

    def unturned(data):
        picture = Image.open(io.BytesIO(data))
        if picture.format != "JPEG" or not picture.getexif():
            return read(data)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=95, exif=b"")
        return read(buffer.getvalue())

    found = compare_pictures(SPEC, ITEMS, _runner(unturned))
    assert found["differ"] == ["JPEG with EXIF orientation 3", "JPEG with EXIF orientation 6"]
    assert found["agreement"] < 1 and found["refused"] == {}


def test_refusals_are_named_with_their_reason(read):
    def refusing(data):
        if Image.open(io.BytesIO(data)).size != (16, 16):
            raise UserError("too large")
        return read(data)

    found = compare_pictures(SPEC, ITEMS, _runner(refusing))
    (name,) = found["refused"]
    assert name.startswith("PNG of 2064 x 2064") and found["refused"][name] == "too large"
    assert found["items"] == 11


def test_forms_are_what_they_say():
    for name, data in picture_forms(SPEC, ITEMS[0]).items():
        picture = Image.open(io.BytesIO(data))
        assert name.startswith(picture.format)
        assert picture.getexif().get(0x0112, 1) == (int(name[-1]) if "orientation" in name else 1)
