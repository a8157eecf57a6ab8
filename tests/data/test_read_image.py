"""Every format and mode of pictures is read to known content; damaged files are refused with one reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vqmm.config import ImageSpec
from vqmm.data.read_image import load_image
from vqmm.errors import UnreadableFile

FRAME = ImageSpec(height=24, width=32, channels=3)
RED, BLACK = (230, 20, 30), (0, 0, 0)


def _drawing() -> Image.Image:
    picture = Image.new("RGB", (32, 24), BLACK)
    picture.paste(RED, (8, 6, 24, 18))
    return picture


def _refused(path: Path, spec: ImageSpec = FRAME) -> str:
    with pytest.raises(UnreadableFile) as caught:
        load_image(path, spec)
    assert str(path) in str(caught.value) and str(path) not in caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp"])
def test_picture_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    _drawing().save(path, **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    picture = load_image(path, FRAME)
    assert picture.shape == (24, 32, 3) and picture.dtype == np.uint8
    np.testing.assert_allclose(picture[12, 16], RED, atol=8)
    np.testing.assert_allclose(picture[2, 2], BLACK, atol=8)


def test_picture_modes(tmp_path: Path) -> None:
    drawing = _drawing()
    drawing.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    drawing.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    for name in ("cmyk.jpg", "palette.png"):
        np.testing.assert_allclose(load_image(tmp_path / name, FRAME)[12, 16], RED, atol=8)
    grey = np.zeros((24, 32), np.uint16)
    grey[6:18, 8:24] = 40_000
    Image.fromarray(grey).save(tmp_path / "grey16.png")
    assert load_image(tmp_path / "grey16.png", FRAME)[12, 16].tolist() == [round(40_000 / 257)] * 3
    drawing.convert("1").save(tmp_path / "bits.png")
    assert set(np.unique(load_image(tmp_path / "bits.png", FRAME))) == {0, 255}
    luma = load_image(tmp_path / "palette.png", ImageSpec(height=24, width=32, channels=1))
    assert luma.shape == (24, 32, 1)
    assert abs(int(luma[12, 16, 0]) - drawing.convert("L").getpixel((16, 12))) <= 2


def test_alpha_lies_over_white_or_over_black_where_the_background_is_dark(tmp_path: Path) -> None:
    drawing = _drawing().convert("RGBA")
    drawing.putalpha(drawing.convert("L").point(lambda value: 255 if value else 0))
    drawing.save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", FRAME)[0, 0].tolist() == [255] * 3
    dark = load_image(tmp_path / "a.png", FRAME.model_copy(update={"background": "dark"}))
    assert dark[0, 0].tolist() == [0] * 3
    np.testing.assert_allclose(dark[12, 16], RED, atol=1)


def test_black_strokes_on_nothing_do_not_vanish_on_a_dark_background(tmp_path: Path) -> None:
    strokes = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    strokes.paste((0, 0, 0, 255), (8, 4, 12, 16))
    strokes.save(tmp_path / "a.png")
    framed = load_image(tmp_path / "a.png", ImageSpec(height=20, width=20, channels=1, background="dark"))
    assert framed[0, 0, 0] == 0 and framed[10, 10, 0] == 255


def test_a_cameras_orientation_mark_is_obeyed(tmp_path: Path) -> None:
    picture = Image.new("RGB", (32, 24), BLACK)
    picture.paste((255, 255, 255), (0, 0, 16, 24))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    framed = load_image(tmp_path / "a.jpg", FRAME)
    assert framed[12, 4].max() < 8 and framed[12, 28].min() > 247


def test_only_the_first_frame_of_an_animation_counts(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (32, 24), (0, 0, 255)), Image.new("RGB", (32, 24), (255, 0, 0))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert load_image(tmp_path / "a.gif", FRAME)[12, 16].tolist() == [0, 0, 255]


def huge_png(side: int) -> bytes:
    """A PNG of side x side pixels whose header is honest and whose data is missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_damaged_pictures_have_a_reason(tmp_path: Path) -> None:
    for side in (8_000, 12_000, 20_000, 60_000):
        (tmp_path / "huge.png").write_bytes(huge_png(side))
        reason = _refused(tmp_path / "huge.png", FRAME)
        assert str(side * side) in reason and "not decoded" in reason and "max_pixels=50000000" in reason
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    for suffix in ("png", "jpg", "webp", "bmp", "gif"):
        noise.save(tmp_path / f"whole.{suffix}")
        raw = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"cut.{suffix}").write_bytes(raw[: len(raw) * 2 // 3])
        assert "cannot be read as a picture" in _refused(tmp_path / f"cut.{suffix}", FRAME)
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    assert "1 x 1 pixels; 2 x 2 is the least" in _refused(tmp_path / "dot.png", FRAME)
    (tmp_path / "text.png").write_text("this is no picture")
    assert "none of PNG, JPEG" in _refused(tmp_path / "text.png", FRAME)
    assert "no such file" in _refused(tmp_path / "absent.png", FRAME)
