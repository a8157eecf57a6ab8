"""Reads a picture from a file into the model's frame."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

from vqmm.config import ImageSpec
from vqmm.data.colour import srgb_by_gamma, srgb_by_profile
from vqmm.data.framing import LUMA, frame_picture
from vqmm.data.orientation import orientation_of
from vqmm.data.pixels import LARGE_SIDE, Pixels, flatten, largest_side, reduction, upright
from vqmm.data.png_chunks import PNG_SIGNATURE, PROFILE_BYTES, PngFile, read_png
from vqmm.data.reading import reading
from vqmm.errors import UnreadableFile

IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")

log = logging.getLogger("vqmm.data")


class _Opened(NamedTuple):
    """A picture whose header was read, and the chunks of its file where that is a PNG."""

    picture: Image.Image
    png: PngFile | None = None


def load_image(path: str | Path, spec: ImageSpec) -> npt.NDArray[np.uint8]:
    """Reads a picture into the model's frame.

    The size in the header is checked before anything is decoded. Of an animation
    the first frame counts; the orientation in EXIF is obeyed. Colours become sRGB, by an
    ICC profile or by gAMA and cHRM of a PNG file; a damaged profile, or one of another
    colour space, is ignored with a line in the log. Texts and other metadata are not read.
    Large pictures are reduced (`vqmm.data.pixels.reduction`). Alpha is laid over white (over
    black where ``spec.background`` is dark); a picture that would vanish there, such as
    black strokes over black, is laid over the opposite.
    Then `vqmm.data.framing.frame_picture`.

    Args:
        path: PNG, JPEG, GIF, BMP, WebP, or SVG where cairosvg is installed; any
            mode, also palette, colour keys, 16 bits, CMYK, alpha.
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
        opened = _open_picture(path, file, spec)

        def note(reason: str) -> None:
            log.warning("%s: %s; it is ignored, colours may be off", path, reason)

        picture = _to_array(_read_pixels(opened, note), spec)
    framed = frame_picture(
        picture,
        spec.height,
        spec.width,
        trim=spec.trim,
        background=spec.background,
        stretch=spec.stretch,
    )
    return np.round(framed * 255).astype(np.uint8)


def _open_picture(path: Path, file: BinaryIO, spec: ImageSpec) -> _Opened:
    """Reads the header; the pixels stay in the file until they are asked for."""
    head = file.read(1024)
    if path.suffix.lower() == ".svg" or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<svg"):
        from vqmm.data.svg import render_svg

        drawing = render_svg(path, LARGE_SIDE)
        side = largest_side(spec.height, spec.width)
        drawing.thumbnail((side, side), Image.Resampling.BOX)  # rendered by its width: it may be tall
        return _Opened(drawing)
    file.seek(0)
    if not head.startswith(PNG_SIGNATURE):
        return _Opened(_header(path, file, spec))
    png = read_png(file.read())
    return _Opened(_header(path, io.BytesIO(png.data), spec), png)


def _header(path: Path, file: BinaryIO, spec: ImageSpec) -> Image.Image:
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


def _read_pixels(opened: _Opened, note: Callable[[str], None]) -> Pixels:
    """Decodes a picture: upright, sRGB, colour keys as alpha."""
    picture, png = opened
    exif = picture.info.get("exif", b"") if png is None else png.exif
    colour, alpha = _deep(png) if png is not None and png.bits == 16 else _plain(picture)
    if png is not None and png.key is not None:
        # Grey of fewer than 8 bits was spread over 0..255.
        spread = 255 // ((1 << png.bits) - 1) if png.bits < 8 else 1
        key = np.array([sample * spread for sample in png.key], colour.dtype)
        shown = (colour != key).any(axis=2, keepdims=True)
        alpha = np.where(shown, np.iinfo(colour.dtype).max, 0).astype(colour.dtype)
    for reason in () if png is None else png.notes:
        note(reason)
    try:
        colour = _as_srgb(colour, picture, png)
    except ValueError as error:
        note(str(error))
    if colour.shape[2] == 4:  # CMYK
        colour = np.asarray(Image.fromarray(colour, "CMYK").convert("RGB"))
    return upright(Pixels(colour, alpha), orientation_of(exif if isinstance(exif, bytes) else b""))


def _plain(picture: Image.Image) -> Pixels:
    """A picture of up to 8 bits, as u8; colour has four channels for CMYK."""
    if picture.has_transparency_data:
        grey = picture.mode in ("1", "L", "LA")
        array = np.asarray(picture.convert("LA" if grey else "RGBA"))
        return Pixels(array[:, :, :-1], array[:, :, -1:])
    inverted = picture.mode == "CMYK" and "adobe" not in picture.info
    if picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("RGB")
    if inverted:  # Pillow takes every CMYK for Adobe's, whose inks are stored inverted
        picture = ImageChops.invert(picture)
    array = np.asarray(picture)
    return Pixels(array if array.ndim == 3 else array[:, :, None])


def _deep(png: PngFile) -> Pixels:
    """A PNG file of 16 bits, as u16.

    Of colours Pillow keeps the high bytes alone. The low ones come of a second reading, whose
    byte order is declared the other way round.
    """
    picture, low = (Image.open(io.BytesIO(png.data), formats=("PNG",)) for _ in range(2))
    if picture.mode not in ("RGB", "RGBA"):
        return Pixels(np.asarray(picture).astype(np.uint16)[:, :, None])
    tile = low.tile[0]
    if tile.args == "LA;16B":  # four bytes a pixel, as RGBA has
        low.tile = [tile._replace(args="RGBA")]
        array = np.asarray(low).astype(np.uint16)
        array = array[:, :, ::2] * 256 + array[:, :, 1::2]
        return Pixels(array[:, :, :1], array[:, :, 1:])
    low.tile = [tile._replace(args=f"{picture.mode};16L")]
    array = np.asarray(picture).astype(np.uint16) * 256 + np.asarray(low)
    return Pixels(array[:, :, :3], array[:, :, 3:] if array.shape[2] == 4 else None)


def _as_srgb(colour: npt.NDArray[Any], picture: Image.Image, png: PngFile | None) -> npt.NDArray[Any]:
    """Converts colour [h, w, 1, 3 or 4 (CMYK)] by the file's profile, else by gAMA and cHRM.

    Raises:
        ValueError: the profile or the chromaticities cannot be used.
    """
    profile = picture.info.get("icc_profile") if png is None else png.profile
    if not profile:
        return colour if png is None else srgb_by_gamma(colour, png.gamma, png.chromaticities)
    if len(profile) > PROFILE_BYTES:
        raise ValueError(f"its colour profile has {len(profile)} bytes, {PROFILE_BYTES} is the most")
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[colour.shape[2]]
    eight = colour if colour.dtype == np.uint8 else np.round(colour / 257).astype(np.uint8)
    before = Image.fromarray(eight[:, :, 0] if mode == "L" else eight, mode)
    after = srgb_by_profile(before, profile)
    if after is before:
        return colour
    array = np.asarray(after)
    deep = array.astype(np.uint16) * 257 if colour.dtype == np.uint16 else array
    return deep if deep.ndim == 3 else deep[:, :, None]


def _to_array(pixels: Pixels, spec: ImageSpec) -> npt.NDArray[np.float32]:
    """f32[h, w, channels], 0..1, reduced and laid over the background."""
    rows, columns = pixels.colour.shape[:2]
    step = reduction(rows, columns, largest_side(spec.height, spec.width))
    array = flatten(pixels, step, spec.background == "dark")
    if spec.channels == 1 and array.shape[2] == 3:
        array = (array @ LUMA)[:, :, None]
    return np.repeat(array, spec.channels // array.shape[2], axis=2)
