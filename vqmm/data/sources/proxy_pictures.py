"""Digits that no scan of the training data looks like: fonts, other pens, other framings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import scipy.ndimage
from PIL import Image, ImageDraw, ImageFont

FONT_PACKAGES = (
    "fonts-breip",
    "fonts-bwht",
    "fonts-comic-neue",
    "fonts-dkg-handwriting",
    "fonts-ecolier-court",
    "fonts-femkeklaver",
    "fonts-humor-sans",
    "fonts-kaushanscript",
    "fonts-rufscript",
    "fonts-sjfonts",
    "fonts-tomsontalks",
)


def usable_fonts(files: Iterable[Path]) -> list[Path]:
    """Returns the fonts that draw ten different digits, sorted by name."""
    kept = []
    for file in sorted(files, key=lambda path: path.name):
        try:
            drawn = [draw_digit(file, digit) for digit in range(10)]
        except OSError:  # not a font that FreeType reads
            continue
        if len({picture.tobytes() for picture in drawn}) == 10 and all(p.max() > 0.5 for p in drawn):
            kept.append(file)
    return kept


def draw_digit(font: Path, digit: int) -> np.ndarray:
    """Returns f32[96, 96], ink 1 on 0, the digit as `font` draws it."""
    return draw_sign(font, str(digit))


def draw_sign(font: Path, sign: str) -> np.ndarray:
    """Returns f32[96, 96], ink 1 on 0, a letter or digit as `font` draws it."""
    picture = Image.new("L", (96, 96))
    face = ImageFont.truetype(str(font), 64)
    ImageDraw.Draw(picture).text((48, 48), sign, fill=255, font=face, anchor="mm")
    return np.asarray(picture, np.float32) / 255


def pen_stroke(scan: np.ndarray, weight: float = 0.0) -> np.ndarray:
    """Redraws an 8 x 8 scan at 64 x 64 with the sharp edges of a pen.

    Args:
        scan: f32[8, 8] in 0..1, ink 1.
        weight: -1 thin to 1 thick.
    """
    smooth = np.clip(scipy.ndimage.zoom(scan, 8, order=3, mode="grid-constant", grid_mode=True), 0, 1)
    smooth = scipy.ndimage.gaussian_filter(smooth, 1.5)
    threshold = smooth.max() * (0.45 - 0.18 * weight)
    return (1 / (1 + np.exp(-(smooth - threshold) * 25))).astype(np.float32)


def frame_by_mass(ink: np.ndarray, size: int = 28, box: int = 20) -> np.ndarray:
    """Fits the ink into `box` and puts its centre of mass in the middle, as MNIST does.

    Returns:
        f32[size, size] in 0..1.
    """
    rows, columns = (np.flatnonzero(ink.max(axis=axis) > 0.2) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = box / max(ink.shape)
    shape = (max(1, round(ink.shape[0] * scale)), max(1, round(ink.shape[1] * scale)))
    small = np.asarray(Image.fromarray(ink).resize(shape[::-1], Image.Resampling.BOX), np.float32)
    canvas = np.zeros((size, size), np.float32)
    centre = scipy.ndimage.center_of_mass(small)
    top, left = (
        int(np.clip(round(size / 2 - c), 0, size - side)) for c, side in zip(centre, shape, strict=True)
    )
    canvas[top : top + shape[0], left : left + shape[1]] = small
    return canvas.clip(0, 1)


def slant(
    ink: np.ndarray, rng: np.random.Generator, shear: float = 0.25, degrees: float = 10.0
) -> np.ndarray:
    """Leans, turns and stretches the ink about its middle by random amounts up to those given."""
    angle, lean = np.deg2rad(rng.uniform(-degrees, degrees)), rng.uniform(-shear, shear)
    stretch = np.diag(np.exp(rng.uniform(-0.15, 0.15, size=2)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, 0], [lean, 1]]) @ stretch
    padded = np.pad(ink, [(side // 4, side // 4) for side in ink.shape])
    centre = (np.array(padded.shape) - 1) / 2
    moved = scipy.ndimage.affine_transform(padded, matrix, centre - matrix @ centre, order=1)
    return moved.clip(0, 1).astype(np.float32)


def on_paper(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dark ink on light paper, off the middle, with uneven light and grain: f32[h, w] in 0..1."""
    height, width = rng.integers(36, 72, size=2)
    small = frame_by_mass(ink, size=28, box=int(rng.integers(18, 27)))
    canvas = np.zeros((height, width), np.float32)
    top, left = rng.integers(0, height - 28 + 1), rng.integers(0, width - 28 + 1)
    canvas[top : top + 28, left : left + 28] = small
    paper = rng.uniform(0.75, 1.0)
    light = np.linspace(0, rng.uniform(-0.12, 0.12), width)[None] + np.linspace(0, 0.08, height)[:, None]
    darkness = paper - rng.uniform(0.0, 0.25)
    grain = rng.normal(0, rng.uniform(0.01, 0.06), size=canvas.shape)
    return (paper - canvas * darkness + light - light.mean() + grain).clip(0, 1).astype(np.float32)


def scan_proxies(scans: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, int, np.ndarray]]:
    """Reframes scans in three ways.

    Args:
        scans: f32[n, 8, 8] in 0..1, ink 1.
        rng: draws pens, slants and papers.

    Yields:
        Kind, index of the scan, f32[h, w] in 0..1: ``scan-centred`` (28 x 28 by
        mass), ``scan-pen`` (another pen's weight, hard edges, slanted) and
        ``scan-paper`` (dark on light, off the middle, grain).
    """
    for index, scan in enumerate(scans):
        yield "scan-centred", index, frame_by_mass(pen_stroke(scan))
        leaning = slant(pen_stroke(scan, rng.uniform(-1, 1)), rng)
        yield "scan-pen", index, (frame_by_mass(leaning) > 0.4).astype(np.float32)
        yield "scan-paper", index, on_paper(slant(pen_stroke(scan, rng.uniform(-0.6, 0.6)), rng, 0.1, 5), rng)
