"""Colours of a picture to sRGB, by its ICC profile or by the gamma and chromaticities of a PNG file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

SRGB_GAMMA = 45_455  # gAMA that stands for sRGB: 1 / 2.2
SRGB_CHROMATICITIES = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
GAMMA_TOLERANCE = 0.05  # relative: libpng takes no smaller difference for one
CHROMATICITY_TOLERANCE = 500  # of 100,000
PROFILE_LEVELS = 2  # of 255: a profile that moves no colour further is sRGB but for rounding
_ROWS = 256  # converted at a time: bounds the memory of floats

# Linear light of sRGB to XYZ under D65, and the cones of Bradford's adaptation.
_SRGB_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_by_profile(picture: Image.Image, profile: bytes) -> Image.Image:
    """Converts a picture to sRGB by its ICC profile, perceptually.

    Args:
        picture: of mode L, RGB or CMYK.
        profile: ICC profile of that mode's colour space.

    Returns:
        Mode L for L, RGB for the others; `picture` itself where the profile is sRGB.

    Raises:
        ValueError: the profile is damaged or belongs to another colour space.
    """
    space = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}[picture.mode]
    # Shortcuts cost dark greys up to ten levels; of greys there are but 256 to convert.
    flags = ImageCms.Flags.NOOPTIMIZE if picture.mode == "L" else ImageCms.Flags.NONE
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        stated = opened.profile.xcolor_space.strip()
        transform = None
        if stated == space:
            standard = ImageCms.createProfile("sRGB")
            transform = ImageCms.buildTransform(opened, standard, picture.mode, "RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ValueError(f"its colour profile is damaged: {' '.join(str(error).split())}") from None
    if transform is None:
        raise ValueError(f"its colour profile is for {stated}, its pixels are {space}")
    if picture.mode == "CMYK":
        return transform.apply(picture)
    asked = _grid(picture.mode)
    found = np.asarray(transform.apply(Image.fromarray(asked)))
    if np.abs(found - np.atleast_3d(asked).astype(np.int16)).max() <= PROFILE_LEVELS:
        return picture
    return picture.point(found[0, :, 1].tolist()) if picture.mode == "L" else transform.apply(picture)


def _grid(mode: str) -> npt.NDArray[np.uint8]:
    """All greys u8[1, 256], or 9 x 9 x 9 colours u8[1, 729, 3]."""
    if mode == "L":
        return np.arange(256, dtype=np.uint8)[None]
    levels = np.round(np.linspace(0, 255, 9)).astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(1, -1, 3)


def is_srgb(gamma: int | None, chromaticities: tuple[int, ...] | None) -> bool:
    """Returns whether the gAMA and cHRM of a PNG file mean sRGB, or say nothing.

    Args:
        gamma: times 100,000, or None.
        chromaticities: times 100,000, white, red, green, blue; or None.
    """
    near = gamma is None or abs(gamma / SRGB_GAMMA - 1) <= GAMMA_TOLERANCE
    if chromaticities is None:
        return near
    pairs = zip(chromaticities, SRGB_CHROMATICITIES, strict=True)
    return near and all(abs(stated - standard) <= CHROMATICITY_TOLERANCE for stated, standard in pairs)


def srgb_by_gamma(
    colour: npt.NDArray[Any], gamma: int | None, chromaticities: tuple[int, ...] | None
) -> npt.NDArray[Any]:
    """Converts samples to sRGB by what a PNG file states of them.

    A sample is light to the power of `gamma` / 100,000; without `gamma`, sRGB's curve.

    Args:
        colour: u8 or u16 [h, w, c], c 1 or 3.
        gamma: of gAMA, times 100,000; or None.
        chromaticities: of cHRM, times 100,000, x and y of white, red, green, blue; or None.

    Returns:
        The same shape and type; `colour` itself where both mean sRGB.

    Raises:
        ValueError: the chromaticities span no colours.
    """
    coloured = colour.shape[2] == 3
    if is_srgb(gamma, chromaticities if coloured else None):
        return colour
    full = np.iinfo(colour.dtype).max
    steps = np.arange(full + 1) / full
    curved = gamma is None or is_srgb(gamma, None)
    light = (_light(steps) if curved else steps ** (100_000 / (gamma or SRGB_GAMMA))).astype(np.float32)
    if not coloured or is_srgb(None, chromaticities):
        return np.round(_encoded(light) * full).astype(colour.dtype)[colour]
    matrix = _to_srgb(np.array(chromaticities) / 100_000).astype(np.float32)
    found = np.empty_like(colour)
    for top in range(0, len(colour), _ROWS):
        rows = np.clip(light[colour[top : top + _ROWS]] @ matrix.T, 0, 1)
        found[top : top + _ROWS] = np.round(_encoded(rows) * full)
    return found


def _light(encoded: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _encoded(light: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _to_srgb(chromaticities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Linear light under these primaries to that of sRGB, white to white: f64[3, 3]."""
    points = chromaticities.reshape(4, 2)
    if (points[:, 1] <= 0).any():
        raise ValueError("its chromaticities (cHRM) span no colours")
    white, *primaries = np.column_stack([points, 1 - points.sum(axis=1)]) / points[:, 1:]
    columns = np.stack(primaries, axis=1)
    if abs(np.linalg.det(columns)) < 1e-6:
        raise ValueError("its chromaticities (cHRM) span no colours")
    to_xyz = columns * np.linalg.solve(columns, white)
    gain = (_BRADFORD @ _SRGB_XYZ.sum(axis=1)) / (_BRADFORD @ white)
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(gain) @ _BRADFORD
    found: npt.NDArray[np.float64] = np.linalg.inv(_SRGB_XYZ) @ adapted @ to_xyz
    return found
