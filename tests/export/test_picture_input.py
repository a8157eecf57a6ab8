import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from picture_files import chunk, every_kind, exif, saved, with_chunks
from PIL import Image, ImageCms, ImageDraw

from vqmm.config import ImageSpec
from vqmm.data.read_image import load_image
from vqmm.export.picture_input import picture_reader


def drawing(mode, size=(61, 47), dark=False):
    """A stroke and a disc off the centre."""
    big = Image.new("RGB", (size[0] * 4, size[1] * 4), (20, 30, 25) if dark else (235, 240, 230))
    pen = ImageDraw.Draw(big)
    ink = (240, 220, 200) if dark else (30, 20, 90)
    pen.line([(60, 40), (150, 140)], fill=ink, width=16)
    pen.ellipse([90, 30, 130, 80], fill=(200, 60, 40))
    small = big.resize(size, Image.Resampling.LANCZOS)
    if mode == "RGBA":
        small.putalpha(Image.fromarray(np.uint8(np.asarray(small.convert("L")) < 200) * 255))
        return small
    return small.convert(mode)


def encoded(picture, kind):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()


SPECS = {
    "plain": ImageSpec(height=32, width=48, channels=3),
    "grey": ImageSpec(height=24, width=24, channels=1),
    "trimmed": ImageSpec(height=32, width=32, channels=1, trim=True, background="dark"),
    "stretched": ImageSpec(height=28, width=40, channels=3, trim=True, background="light", stretch=True),
}


@pytest.fixture(scope="module")
def readers():
    files = [tf.TensorSpec((None,), tf.string)]
    return {
        name: tf.function(picture_reader(spec), input_signature=files, autograph=False)
        for name, spec in SPECS.items()
    }


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    "mode, kind, dark",
    [
        ("RGB", "PNG", False),
        ("L", "PNG", True),
        ("RGBA", "PNG", False),
        ("LA", "PNG", False),
        ("P", "PNG", False),
        ("RGB", "JPEG", True),
        ("L", "JPEG", False),
    ],
)
def test_the_frame_is_that_of_preparation(readers, tmp_path, spec, mode, kind, dark):
    data = encoded(drawing(mode, dark=dark), kind)
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(data)
    expected = load_image(path, SPECS[spec]) / 255.0
    assert expected.max() - expected.min() > 0.3
    found = readers[spec]([data])[0].numpy()
    # JPEG decoders differ by a level.
    np.testing.assert_allclose(found, expected, atol=(1.01 if kind == "PNG" else 2) / 255)


@pytest.mark.parametrize("size", [(8, 8), (2, 3), (300, 180), (33, 200)])
def test_any_size_is_framed(readers, tmp_path, size):
    rng = np.random.default_rng(0)
    pixels = np.zeros(size[::-1], np.uint8)
    pixels[size[1] // 3 : size[1] // 3 * 2 + 1, size[0] // 4 : size[0] // 2 + 1] = 200
    pixels = np.clip(pixels + rng.integers(0, 5, pixels.shape), 0, 255).astype(np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    expected = load_image(path, SPECS["trimmed"]) / 255.0
    np.testing.assert_allclose(readers["trimmed"]([path.read_bytes()])[0], expected, atol=1.01 / 255)


def test_a_blank_picture_stays_blank(readers):
    found = readers["stretched"]([encoded(Image.new("L", (20, 20), 40), "PNG")])
    assert np.ptp(found) == 0


@pytest.mark.parametrize(
    "data, said", [(b"no picture", "neither PNG nor JPEG"), (encoded(Image.new("L", (1, 9)), "PNG"), "2 x 2")]
)
def test_what_cannot_be_read_is_told_in_the_graph(readers, data, said):
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        readers["grey"]([data])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_too_many_pixels_are_refused_by_the_header(kind):
    read = picture_reader(ImageSpec(height=8, width=8, max_pixels=99))
    noise = np.random.default_rng(0).integers(0, 255, (20, 50)).astype(np.uint8)
    whole = encoded(Image.fromarray(noise), kind)
    head = whole[: len(whole) // 2 if kind == "JPEG" else whole.index(b"IDAT")]  # could not be decoded
    with pytest.raises(tf.errors.InvalidArgumentError, match="99"):
        read(tf.constant([head]))


FILES = {name: data for name, data in every_kind().items() if name.startswith(("png", "jpeg"))}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WHOLE = saved(drawing("RGB"), "PNG")


def read_both(readers, tmp_path, data, spec="plain"):
    (tmp_path / "a").write_bytes(data)
    return readers[spec]([data])[0].numpy() * 255, load_image(tmp_path / "a", SPECS[spec]).astype(float)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("spec", ["plain", "trimmed"])
def test_every_kind_of_file_is_read_as_in_preparation(readers, tmp_path, name, spec):
    found, expected = read_both(readers, tmp_path, FILES[name], spec)
    assert np.ptp(expected) > 80
    np.testing.assert_allclose(found, expected, atol=1.01 if name.startswith("png") else 2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_exif_is_obeyed(readers, tmp_path, orientation):
    upright = Image.open(io.BytesIO(WHOLE)).convert("RGB")
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions that store it so
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    (tmp_path / "b").write_bytes(WHOLE)
    twin = load_image(tmp_path / "b", SPECS["plain"])
    for order in "<>":
        data = exif(orientation, order)
        found, expected = read_both(
            readers, tmp_path, with_chunks(saved(stored, "PNG"), chunk(b"eXIf", data))
        )
        np.testing.assert_allclose(found, twin, atol=1.01)
        np.testing.assert_array_equal(expected, twin)
        jpeg = saved(stored, "JPEG", quality=95, subsampling=0, exif=b"Exif\0\0" + data)
        found, expected = read_both(readers, tmp_path, jpeg)
        np.testing.assert_allclose(found, expected, atol=2)
        assert np.abs(found - twin).mean() < 1.5


@pytest.mark.parametrize("damage", [b"", b"II*\0", exif(6)[:20], exif(9), b"MM\0*" + b"\xff" * 30])
def test_damaged_exif_is_upright_at_both_doors(readers, tmp_path, damage):
    found, expected = read_both(readers, tmp_path, with_chunks(WHOLE, chunk(b"eXIf", damage)))
    np.testing.assert_allclose(found, expected, atol=1.01)


def test_what_means_srgb_is_read(readers, tmp_path):
    gamma = chunk(b"gAMA", struct.pack(">I", 45_455))
    points = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
    linear = chunk(b"gAMA", struct.pack(">I", 100_000))
    for parts in ((gamma,), (gamma, points), (linear, chunk(b"sRGB", b"\0"))):
        found, expected = read_both(readers, tmp_path, with_chunks(WHOLE, *parts))
        np.testing.assert_allclose(found, expected, atol=1.01)
    for data in (
        saved(drawing("RGB"), "PNG", icc_profile=SRGB),
        saved(drawing("RGB"), "JPEG", quality=95, icc_profile=SRGB),
        with_chunks(WHOLE, chunk(b"iCCP", b"no profile\0\0" + zlib.compress(bytes(2**21)))),
    ):
        found, expected = read_both(readers, tmp_path, data)
        np.testing.assert_allclose(found, expected, atol=2)


def test_other_colours_are_refused_by_name(readers):
    swapped = SRGB.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    wide = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
    for data in (
        saved(drawing("RGB"), "PNG", icc_profile=swapped),
        saved(drawing("RGB"), "JPEG", icc_profile=swapped),
        saved(drawing("RGB"), "JPEG", icc_profile=SRGB + bytes(90_000)),  # of several segments
        with_chunks(WHOLE, chunk(b"gAMA", struct.pack(">I", 100_000))),
        with_chunks(WHOLE, wide),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\(ICC\).*gAMA, cHRM.*save it as sRGB"):
            readers["plain"]([data])


@pytest.mark.parametrize("size, mode", [((2050, 60), "RGB"), ((97, 4100), "RGBA"), ((2500, 2300), "L")])
def test_a_large_picture_is_reduced_as_in_preparation(readers, tmp_path, size, mode):
    picture = drawing("RGB").resize(size, Image.Resampling.BICUBIC)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(size))
    for spec in ("plain", "trimmed"):
        found, expected = read_both(readers, tmp_path, saved(picture.convert(mode), "PNG"), spec)
        np.testing.assert_allclose(found, expected, atol=1.01)


def test_the_pixels_of_a_request_are_limited_together():
    read = picture_reader(ImageSpec(height=8, width=8), request_pixels=1_000)
    files = [encoded(Image.new("L", (20, 20), 9), kind) for kind in ("PNG", "JPEG")]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?s)1200.*1000 is the most: send fewer"):
        read(tf.constant([*files, files[0]]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid PNG"):  # 800: it came to decoding
        read(tf.constant([files[0][:60], files[1]]))


def test_a_file_of_endless_parts_is_refused(readers):
    many = with_chunks(WHOLE, *[chunk(b"tEXt", b"")] * 1_200)
    junk = encoded(drawing("RGB"), "JPEG")
    for data in (many, junk[:20] + bytes(1_200) + junk[20:]):  # behind the first segment
        with pytest.raises(tf.errors.InvalidArgumentError, match="1024 chunks or segments.*save it anew"):
            readers["plain"]([data])
    assert readers["plain"]([with_chunks(WHOLE, *[chunk(b"tEXt", b"")] * 900)]).shape == (1, 32, 48, 3)
