import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

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
