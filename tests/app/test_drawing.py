"""Strokes become the picture that a person sees on the sketchpad."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vqmm.app.drawing import composed, ink_for
from vqmm.config import ImageSpec
from vqmm.data.read_image import load_image
from vqmm.errors import UserError


def layer(*strokes, size=(64, 64), kind="PNG"):
    picture = Image.new("RGBA", size)
    for colour, box in strokes:
        ImageDraw.Draw(picture).rectangle(box, fill=colour)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_white_strokes_lie_on_black_where_the_model_sees_dark_pictures(kind, tmp_path):
    spec = ImageSpec(height=64, width=64, channels=1, background="dark")
    ink = ink_for(spec)
    (tmp_path / "a.png").write_bytes(
        composed([layer((ink.brushes[0], (20, 10, 43, 53)), kind=kind)], ink.ground, 10_000)
    )
    seen = load_image(tmp_path / "a.png", spec)[:, :, 0]
    expected = np.zeros((64, 64), "uint8")
    expected[10:54, 20:44] = 255
    np.testing.assert_array_equal(seen, expected)


def test_layers_cover_one_another_by_their_alpha():
    below, above = layer(("#ff0000", (0, 0, 9, 63))), layer(("#0000ff80", (5, 0, 20, 63)))
    found = np.asarray(Image.open(io.BytesIO(composed([below, above], "#ffffff", 10_000))), int)[30]
    assert found[2].tolist() == [255, 0, 0] and found[40].tolist() == [255, 255, 255]
    np.testing.assert_allclose(found[7], [127, 0, 128], atol=1)  # half blue on red
    np.testing.assert_allclose(found[15], [127, 127, 255], atol=1)  # half blue on the ground


@pytest.mark.parametrize(
    "background, channels, ground, first, count",
    [
        ("dark", 1, "#000000", "#ffffff", 1),
        ("light", 1, "#ffffff", "#000000", 1),
        ("as-is", 3, "#ffffff", "#000000", 6),
    ],
)
def test_ink_is_what_the_models_pictures_are_of(background, channels, ground, first, count):
    ink = ink_for(ImageSpec(background=background, channels=channels))
    assert (ink.ground, ink.brushes[0], len(ink.brushes)) == (ground, first, count)


@pytest.mark.parametrize(
    "layers, told",
    [
        ([], "is empty"),
        ([layer()], "is empty"),
        ([b"nothing"], "cannot be read"),
        ([layer(("#ffffff", (0, 0, 9, 9)))[:60]], "cannot be read"),
        ([layer(("#ffffff", (0, 0, 9, 9)), size=(200, 200))], "200 x 200 pixels; 10000 is the most"),
        ([layer(("#ffffff", (0, 0, 9, 9))), layer(size=(32, 32))], "must have one size"),
    ],
)
def test_what_is_no_drawing_is_told(layers, told):
    with pytest.raises(UserError, match=told):
        composed(layers, "#000000", 10_000)
