"""Every format and mode of pictures is read to known content; damaged files are refused with one reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from picture_files import chunk, png, saved
from PIL import Image, ImageChops, ImageCms

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


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _swapped() -> bytes:
    """sRGB's profile, red and green swapped: pixels (r, g, b) mean the colour (g, r, b)."""
    return SRGB.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_profile_is_obeyed_in_each_format(tmp_path: Path, kind: str, mode: str) -> None:
    if kind != "PNG" and (mode == "P" or (kind, mode) == ("JPEG", "RGBA")):
        return
    picture = Image.fromarray(np.asarray(_drawing())[:, :, [1, 0, 2]])
    picture = picture.convert(mode, palette=Image.Palette.ADAPTIVE)
    picture.save(tmp_path / "a", kind, icc_profile=_swapped(), **({} if kind == "PNG" else {"quality": 95}))
    np.testing.assert_allclose(load_image(tmp_path / "a", FRAME)[12, 16], RED, atol=10)
    picture.save(tmp_path / "b", kind, icc_profile=SRGB, **({} if kind == "PNG" else {"quality": 95}))
    np.testing.assert_allclose(load_image(tmp_path / "b", FRAME)[12, 16], (20, 230, 30), atol=10)


@pytest.mark.parametrize("profile", [b"no profile", bytes(3_000), SRGB[:200], SRGB])
def test_a_profile_that_cannot_be_used_costs_no_picture(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, profile: bytes
) -> None:
    _drawing().convert("L").save(tmp_path / "a.png", icc_profile=profile)
    _drawing().convert("L").save(tmp_path / "b.png")
    found = load_image(tmp_path / "a.png", FRAME)
    np.testing.assert_array_equal(found, load_image(tmp_path / "b.png", FRAME))
    assert "profile" in caplog.text and "ignored" in caplog.text and "a.png" in caplog.text


def test_gamma_of_a_png_file_is_obeyed(tmp_path: Path) -> None:
    for channels, kind in ((1, 0), (3, 2)):
        for bits in (8, 16):
            half = np.full((24, 32, channels), 2**bits // 2 - 1)  # half of the light, by a gamma of 1
            data = png(half, bits, kind, chunk(b"gAMA", struct.pack(">I", 100_000)))
            (tmp_path / "a.png").write_bytes(data)
            expected = (1.055 * 0.5 ** (1 / 2.4) - 0.055) * 255
            np.testing.assert_allclose(load_image(tmp_path / "a.png", FRAME), expected, atol=1)


@pytest.mark.parametrize("bits, kind", [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_a_colour_key_is_transparent_at_any_depth(tmp_path: Path, bits: int, kind: int) -> None:
    """White paper under the key's colour; a sample that differs by its lowest bit is shown."""
    channels, key = 3 if kind else 1, min(2**bits - 1, 300 if bits == 16 else 1)
    samples = np.full((24, 32, channels), key)
    samples[:, 16:] = 0 if bits == 1 else key ^ 1
    stated = struct.pack(">H", key) * channels
    (tmp_path / "a.png").write_bytes(png(samples, bits, kind, chunk(b"tRNS", stated)))
    found = load_image(tmp_path / "a.png", FRAME)
    assert (found[:, :14] == 255).all()
    shown = (0 if bits == 1 else key ^ 1) / (2**bits - 1) * 255
    np.testing.assert_allclose(found[:, 18:], shown, atol=0.51)


@pytest.mark.parametrize("channels, kind", [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_sixteen_bits_are_rounded_not_cut(tmp_path: Path, channels: int, kind: int) -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (24, 32, channels))
    (tmp_path / "a.png").write_bytes(png(samples, 16, kind))
    colour = samples[:, :, :-1] if channels % 2 == 0 else samples
    alpha = samples[:, :, -1:] / 65535 if channels % 2 == 0 else 1.0
    expected = np.broadcast_to((colour / 65535 * alpha + 1 - alpha) * 255, (24, 32, 3))
    np.testing.assert_allclose(load_image(tmp_path / "a.png", FRAME), expected, atol=0.501)


def test_metadata_of_a_jpeg_costs_no_picture(tmp_path: Path) -> None:
    whole = saved(_drawing(), "JPEG", quality=95)
    segment = b"\xff\xed" + struct.pack(">H", 65_535) + b"Photoshop 3.0\0".ljust(65_533, b"8")
    large = whole[:2] + segment * 40 + whole[2:]
    wrong = saved(_drawing(), "JPEG", quality=95, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    (tmp_path / "a.jpg").write_bytes(whole)
    expected = load_image(tmp_path / "a.jpg", FRAME)
    for data in (large, wrong):
        (tmp_path / "b.jpg").write_bytes(data)
        np.testing.assert_array_equal(load_image(tmp_path / "b.jpg", FRAME), expected)


def test_cmyk_without_adobes_marker_is_no_negative(tmp_path: Path) -> None:
    """Pillow writes the marker: here it is taken out, and the inks are inverted before."""
    inks = ImageChops.invert(_drawing().convert("CMYK"))
    data = saved(inks, "JPEG", quality=95)
    place = data.index(b"\xff\xee")
    size = struct.unpack_from(">H", data, place + 2)[0]
    (tmp_path / "a.jpg").write_bytes(data[:place] + data[place + 2 + size :])
    found = load_image(tmp_path / "a.jpg", FRAME)
    np.testing.assert_allclose(found[12, 16], RED, atol=8)
    np.testing.assert_allclose(found[2, 2], BLACK, atol=8)
