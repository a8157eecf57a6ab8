"""From the layers of a sketchpad to a picture as a file would hold it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from vqmm.config import ImageSpec
from vqmm.errors import UserError


class Ink(NamedTuple):
    """Colours of a sketchpad.

    Attributes:
        ground: what is drawn upon.
        brushes: first the one that is taken up.
    """

    ground: str
    brushes: tuple[str, ...]


def ink_for(spec: ImageSpec) -> Ink:
    """White on black where the model's pictures are so, else black on white; other colours if it sees any."""
    colours = ("#d03b2f", "#e0a100", "#2f8f4e", "#1f5fa8", "#8a4fa3") if spec.channels == 3 else ()
    if spec.background == "dark":
        return Ink("#000000", ("#ffffff", *colours))
    return Ink("#ffffff", ("#000000", *colours))


def composed(layers: Sequence[bytes], ground: str, pixels: int) -> bytes:
    """Lays the strokes of a sketchpad upon its ground.

    The composite that a sketchpad sends itself lies on white, where white strokes vanish.

    Args:
        layers: pictures with alpha, lowest first, all of one size.
        ground: colour, as `#000000`.
        pixels: that each may have by its header.

    Returns:
        PNG.

    Raises:
        UserError: nothing is drawn, a layer is no picture, is too large, or is of another size.
    """
    whole: Image.Image | None = None
    drawn = False
    for data in layers:
        layer = _layer(data, pixels)
        if whole is None:
            whole = Image.new("RGBA", layer.size, ground)
        if layer.size != whole.size:
            raise UserError(f"layers of {whole.size} and {layer.size} pixels; they must have one size")
        drawn = drawn or layer.getchannel("A").getbbox() is not None
        whole.alpha_composite(layer)
    if whole is None or not drawn:
        raise UserError("the sketchpad is empty; draw something first")
    buffer = io.BytesIO()
    whole.convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def _layer(data: bytes, pixels: int) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer = Image.open(io.BytesIO(data), formats=("PNG", "WEBP"))
            if layer.width * layer.height <= pixels:
                return layer.convert("RGBA")
    except Exception as error:  # decoders of damaged files raise nearly anything
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"a layer of the drawing cannot be read: {said}; draw it again") from None
    raise UserError(f"a layer of the drawing has {layer.width} x {layer.height} pixels; {pixels} is the most")
