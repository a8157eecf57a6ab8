"""Decoded pixels of a picture at the file's own depth: turned upright, reduced, laid over a background."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.data.orientation import TURNS

LARGE_SIDE = 1_024  # pixels of the longer side that are enough to find and crop content in
REQUEST_PIXELS = 16_000_000  # of all pictures of one request: one of 4,000 x 4,000, 3 s and 0.7 GB in a graph
FAINT = 0.1  # of full scale: what differs less from black vanishes on it


class Pixels(NamedTuple):
    """Samples of a picture.

    Attributes:
        colour: u8 or u16 [h, w, c], c 1 (grey) or 3 (sRGB).
        alpha: of the same type, [h, w, 1]; None where all is opaque.
    """

    colour: npt.NDArray[Any]
    alpha: npt.NDArray[Any] | None = None


def largest_side(height: int, width: int) -> int:
    """The side from which on a picture is reduced for a frame of height x width pixels.

    `reduction` is the rule: `prepare`, the service and an exported graph follow it alike.
    """
    return max(LARGE_SIDE, 4 * height, 4 * width)


def reduction(rows: int, columns: int, side: int) -> int:
    """How many rows and columns become one: a whole number, so that no side gets below `side`."""
    return max(1, max(rows, columns) // side)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turns a picture by the orientation of EXIF, 1 to 8."""
    turn = TURNS[orientation]

    def turned(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
        samples = samples.swapaxes(0, 1) if turn.transpose else samples
        return samples[:: -1 if turn.flip_rows else 1, :: -1 if turn.flip_columns else 1]

    return Pixels(turned(pixels.colour), None if pixels.alpha is None else turned(pixels.alpha))


def flatten(pixels: Pixels, step: int, dark: bool) -> npt.NDArray[np.float32]:
    """Reduces a picture and lays it over a background.

    A pixel is the mean of `step` x `step` pixels, fewer at the right and lower edge, weighted
    by their alpha. The background is white; black where `dark`, unless the picture would
    vanish on it, such as black strokes on nothing.

    Args:
        pixels: of the picture.
        step: see `reduction`; 1 leaves the size.
        dark: whether the background is black.

    Returns:
        f32[ceil(h / step), ceil(w / step), c], 0..1.
    """
    full = np.iinfo(pixels.colour.dtype).max
    if step > 1:
        colour, alpha = _means(pixels, step, full)
    else:
        colour = pixels.colour.astype(np.float32) / np.float32(full)
        alpha = None if pixels.alpha is None else pixels.alpha.astype(np.float32) / np.float32(full)
        colour = colour if alpha is None else colour * alpha
    if alpha is None:
        return colour
    faint = colour.sum() < FAINT * max(colour.shape[2] * alpha.sum(), 1e-6)
    ground = np.float32(0.0 if dark and not faint else 1.0)
    laid: npt.NDArray[np.float32] = colour + ground * (1 - alpha)
    return laid


def _means(pixels: Pixels, step: int, full: int) -> tuple[Any, Any]:
    """Colour times alpha and alpha, f32, 0..1. Sums are whole numbers: a graph gets the same ones."""
    rows, columns = pixels.colour.shape[:2]
    starts = np.arange(0, columns, step)
    colours, alphas = [], []
    for top in range(0, rows, step):  # row by row: whole numbers of all pixels would take much memory
        colour = pixels.colour[top : top + step].astype(np.int64)
        if pixels.alpha is not None:
            alpha = pixels.alpha[top : top + step].astype(np.int64)
            colour *= alpha
            alphas.append(np.add.reduceat(alpha.sum(axis=0), starts, axis=0))
        colours.append(np.add.reduceat(colour.sum(axis=0), starts, axis=0))
    high = np.minimum(step, rows - np.arange(0, rows, step))
    count = (high[:, None] * np.minimum(step, columns - starts))[:, :, None]
    if pixels.alpha is None:
        return (np.stack(colours) / (count * full)).astype(np.float32), None
    alpha_mean = (np.stack(alphas) / (count * full)).astype(np.float32)
    return (np.stack(colours) / (count * full * full)).astype(np.float32), alpha_mean
