"""Places a picture in the model's frame: border, background, crop, fit, pad."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.float32]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601, as Pillow's "L"
MARGIN = 0.06  # of the frame, on each side of a trimmed picture
SEARCH_SIZE = 96  # longer side of the copy in which the content is sought
BLANK = 0.05  # a picture that differs less than this from its border has no content to find
CONTENT = 0.30  # content differs from the border by this share of the largest difference
STRONGEST = 99.0  # percentile of the frame's pixels that `stretch` takes to full scale
NOISE = 4.0  # and by so many times the border's own noise


class Box(NamedTuple):
    """A rectangle in source pixels; edges may lie between pixels."""

    left: float
    top: float
    right: float
    bottom: float


def frame_picture(
    picture: Picture,
    height: int,
    width: int,
    *,
    trim: bool = False,
    background: Literal["as-is", "dark", "light"] = "as-is",
    stretch: bool = False,
) -> Picture:
    """Fits a picture into height x width, aspect preserved.

    The border colour is the median of the outermost pixels. ``background`` dark
    or light inverts a picture whose border is on the other side of mid-grey.
    ``trim`` cuts to what differs from the border (`content_box`) and leaves a
    margin of 6 % of the frame. What the picture does not cover has the border
    colour. ``stretch`` (with a background of dark or light) evens out paper and
    pen: the border colour becomes black or white, the strongest content the opposite.

    Args:
        picture: f32[h, w, c], 0..1, c 1 or 3.
        height: of the frame, in pixels.
        width: of the frame, in pixels.

    Returns:
        f32[height, width, c], 0..1.
    """
    border = border_colour(picture)
    if background != "as-is" and (luma(border) > 0.5) != (background == "light"):
        picture, border = 1 - picture, 1 - border
    rows, columns = picture.shape[:2]
    box = content_box(picture) if trim else None
    margin = MARGIN if trim else 0.0
    box = box or Box(0, 0, columns, rows)
    wide, high = box.right - box.left, box.bottom - box.top
    scale = min(width * (1 - 2 * margin) / wide, height * (1 - 2 * margin) / high)
    if trim:
        # Keep the soft edge of strokes, blank what was not found to be content.
        keep = max(1.0, margin * max(wide, high))
        picture = _blank_outside(picture, border, box, keep)
    middle_x, middle_y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    half_x, half_y = width / scale / 2, height / scale / 2
    window = Box(middle_x - half_x, middle_y - half_y, middle_x + half_x, middle_y + half_y)
    framed = _resample(picture, border, window, height, width)
    if stretch and background != "as-is":
        framed = _stretch(framed, border, background == "dark")
    return framed


def border_colour(picture: Picture) -> Picture:
    """Median of the 1-pixel frame of f32[h, w, c]: f32[c]."""
    return np.median(_border_pixels(picture), axis=0).astype(np.float32)


def luma(colour: Picture) -> float:
    """Brightness 0..1 of one colour f32[1] or f32[3]."""
    return float(colour[0]) if colour.size == 1 else float(colour @ LUMA)


def content_box(picture: Picture) -> Box | None:
    """Finds what differs from the border.

    The search runs on a smooth copy of about 96 pixels: a scan of 8 x 8 is
    enlarged first, so that edges fall between its pixels, and dust in a large
    scan averages out. Content differs from the border by 30 % of the largest
    difference, and by four times the noise along the border.

    Args:
        picture: f32[h, w, c], 0..1.

    Returns:
        The box, in pixels of `picture`, or None for a blank picture.
    """
    difference = np.abs(picture - border_colour(picture)).max(axis=2)
    padded = np.pad(difference, 1)  # a stroke that runs off the picture fades rather than stops
    rows, columns = padded.shape
    scale = SEARCH_SIZE / max(rows, columns)
    size = (max(3, round(columns * scale)), max(3, round(rows * scale)))
    smooth = Image.fromarray(padded).resize(size, Image.Resampling.BICUBIC)
    search = _box_blur(np.clip(np.asarray(smooth), 0, 1))
    largest = float(search.max())
    if largest < BLANK:
        return None
    noise = 1.4826 * float(np.median(_border_pixels(search[2:-2, 2:-2, None]))) if min(size) > 8 else 0.0
    found = search > min(max(CONTENT * largest, NOISE * noise), 0.6 * largest)
    across, down = np.flatnonzero(found.any(axis=0)), np.flatnonzero(found.any(axis=1))
    to_x, to_y = columns / size[0], rows / size[1]
    return Box(
        max(0.0, across[0] * to_x - 1),
        max(0.0, down[0] * to_y - 1),
        min(columns - 2.0, (across[-1] + 1) * to_x - 1),
        min(rows - 2.0, (down[-1] + 1) * to_y - 1),
    )


def _border_pixels(picture: Picture) -> Picture:
    sides = (picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1])
    return np.concatenate(sides, axis=0)


def _box_blur(picture: Picture) -> Picture:
    padded = np.pad(picture, 1)
    rows, columns = picture.shape
    shifts = [padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    return np.mean(shifts, axis=0, dtype=np.float32)


def _blank_outside(picture: Picture, border: Picture, box: Box, keep: float) -> Picture:
    rows, columns = picture.shape[:2]
    left, top = max(0, int(np.floor(box.left - keep))), max(0, int(np.floor(box.top - keep)))
    right, bottom = min(columns, int(np.ceil(box.right + keep))), min(rows, int(np.ceil(box.bottom + keep)))
    blank = np.broadcast_to(border, picture.shape).copy()
    blank[top:bottom, left:right] = picture[top:bottom, left:right]
    return blank


def _stretch(framed: Picture, border: Picture, dark: bool) -> Picture:
    content = framed - border if dark else border - framed
    strongest = float(np.percentile(content.max(axis=2), STRONGEST))
    if strongest < BLANK:
        return framed
    content = np.clip(content / strongest, 0, 1)
    return content if dark else 1 - content


def _resample(picture: Picture, border: Picture, window: Box, height: int, width: int) -> Picture:
    rows, columns = picture.shape[:2]
    left, top = int(np.ceil(max(0.0, -window.left))), int(np.ceil(max(0.0, -window.top)))
    right = int(np.ceil(max(0.0, window.right - columns)))
    bottom = int(np.ceil(max(0.0, window.bottom - rows)))
    box = (window.left + left, window.top + top, window.right + left, window.bottom + top)
    channels = []
    for channel, colour in zip(np.moveaxis(picture, 2, 0), border, strict=True):
        padded = np.pad(channel, ((top, bottom), (left, right)), constant_values=colour)
        # Pillow's filters widen when shrinking, so that nothing aliases.
        resized = Image.fromarray(padded).resize((width, height), Image.Resampling.BICUBIC, box=box)
        channels.append(np.asarray(resized))
    return np.clip(np.stack(channels, axis=2), 0, 1)
