"""Reads a picture from a file into the model's frame."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from vqmm.config import ImageSpec
from vqmm.data.framing import LUMA, frame_picture
from vqmm.data.reading import reading
from vqmm.errors import UnreadableFile

IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
LARGE_SIDE = 1_024  # larger pictures are reduced first: enough to find and crop content in


def load_image(path: str | Path, spec: ImageSpec) -> npt.NDArray[np.uint8]:
    """Reads a picture into the model's frame.

    The size in the header is checked before anything is decoded. Of an animation
    the first frame counts; a camera's orientation mark is obeyed. Alpha is laid
    over white (over black where ``spec.background`` is dark); a picture that would
    vanish there, such as black strokes over black, is laid over the opposite.
    Then `vqmm.data.framing.frame_picture`.

    Args:
        path: PNG, JPEG, GIF, BMP, WebP, or SVG where cairosvg is installed; any
            mode, also palette, 16-bit grey, CMYK, alpha.
        spec: what the array must be like.

    Returns:
        u8[height, width, channels].

    Raises:
        UnreadableFile: (a UserError) no such file, not a picture, truncated, more
            than ``spec.max_pixels``, less than 2 x 2 pixels.
    """
    path = Path(path)
    kind = f"a picture ({', '.join(IMAGE_FORMATS)}, SVG)"
    with reading(path, kind), path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd but readable files
        picture = _to_array(_open_picture(path, file, spec), spec)
    framed = frame_picture(
        picture,
        spec.height,
        spec.width,
        trim=spec.trim,
        background=spec.background,
        stretch=spec.stretch,
    )
    return np.round(framed * 255).astype(np.uint8)


def _open_picture(path: Path, file: BinaryIO, spec: ImageSpec) -> Image.Image:
    """Reads the header; the pixels stay in the file until they are asked for."""
    head = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")
    if path.suffix.lower() == ".svg" or head.startswith(b"<svg"):
        from vqmm.data.svg import render_svg

        return render_svg(path, LARGE_SIDE)
    try:
        picture = Image.open(file, formats=IMAGE_FORMATS)
    except Image.DecompressionBombError as error:
        raise UnreadableFile(
            path, f"is too large, not decoded: {error}; data.image.max_pixels={spec.max_pixels} is the most"
        ) from None
    except Image.UnidentifiedImageError:
        raise UnreadableFile(path, f"is none of {', '.join(IMAGE_FORMATS)}, SVG, whatever its name") from None
    wide, high = picture.size
    if wide * high > spec.max_pixels:
        raise UnreadableFile(
            path,
            f"has {wide} x {high} = {wide * high} pixels, not decoded; "
            f"data.image.max_pixels={spec.max_pixels} is the most",
        )
    if min(wide, high) < 2:
        raise UnreadableFile(path, f"has {wide} x {high} pixels; 2 x 2 is the least")
    return picture


def _to_array(picture: Image.Image, spec: ImageSpec) -> npt.NDArray[np.float32]:
    """f32[h, w, channels], 0..1, neither side above `LARGE_SIDE` (or four times the frame)."""
    side = max(LARGE_SIDE, 4 * spec.height, 4 * spec.width)
    if picture.mode.startswith("I"):  # 16-bit grey
        picture = Image.fromarray(np.asarray(picture).astype(np.float32) / 65535)
    elif picture.has_transparency_data:
        picture = picture.convert("RGBA")
    elif picture.mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.BOX)
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "CMYK":
        picture = picture.convert("RGB")
    scale = 1.0 if picture.mode == "F" else 255.0
    array = np.asarray(picture, np.float32) / scale
    array = array[:, :, None] if array.ndim == 2 else array
    if array.shape[2] == 4:
        array = _over_background(array[:, :, :3], array[:, :, 3:], spec.background == "dark")
    if spec.channels == 1 and array.shape[2] == 3:
        array = (array @ LUMA)[:, :, None]
    return np.repeat(array, spec.channels // array.shape[2], axis=2)


def _over_background(
    colour: npt.NDArray[np.float32], alpha: npt.NDArray[np.float32], dark: bool
) -> npt.NDArray[np.float32]:
    ground = 0.0 if dark else 1.0
    contrast = (np.abs(colour - ground) * alpha).sum() / max(3 * alpha.sum(), 1e-6)
    if dark and contrast < 0.1:  # dark strokes on nothing: let the background rule invert them
        ground = 1.0
    return colour * alpha + ground * (1 - alpha)
