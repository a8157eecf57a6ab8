"""Profiles, gamma and chromaticities become sRGB as littlecms and the closed form have it."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from vqmm.data.colour import is_srgb, srgb_by_gamma, srgb_by_profile

COLOURS = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Image.fromarray(COLOURS)
    assert srgb_by_profile(picture, profile) is picture


def test_a_linear_profile_gives_the_curve_of_srgb() -> None:
    """The profile of sRGB whose curves are lines: light becomes samples by sRGB's curve."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = struct.unpack_from(">I", data, 128)[0]
    for place in range(132, 132 + 12 * tags, 12):
        name, start, _ = struct.unpack_from(">4sII", data, place)
        if name in (b"rTRC", b"gTRC", b"bTRC"):  # a curve without points is the identity
            struct.pack_into(">4sIHH", data, start, b"para", 0, 0, 0)
            struct.pack_into(">I", data, start + 12, 0x10000)  # light = sample ** 1
    found = np.asarray(srgb_by_profile(Image.fromarray(COLOURS), bytes(data)))
    light = COLOURS / 255
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    np.testing.assert_allclose(found, expected, atol=2.0)  # littlecms rounds profile and curve to 16 bits


@pytest.mark.parametrize("mode, space", [("L", "GRAY"), ("CMYK", "CMYK")])
def test_a_profile_of_another_colour_space_is_named(mode: str, space: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with pytest.raises(ValueError, match=f"is for RGB, its pixels are {space}"):
        srgb_by_profile(Image.fromarray(COLOURS).convert(mode), profile)


@pytest.mark.parametrize("profile", [b"", b"no profile", bytes(3_000)])
def test_a_damaged_profile_is_named(profile: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        srgb_by_profile(Image.fromarray(COLOURS), profile)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_gamma_is_a_power(dtype: type, channels: int) -> None:
    full = np.iinfo(dtype).max
    colour = np.linspace(0, full, 60).astype(dtype).reshape(4, 5, 3)[:, :, :channels]
    light = (colour / full) ** (1 / 0.55556)
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * full
    found = srgb_by_gamma(colour, 55_556, None)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=0.51 if dtype == np.uint8 else 1.01)


def test_chromaticities_agree_with_littlecms() -> None:
    """Display P3 by cHRM and by a profile made of the same numbers."""
    points = ((0.680, 0.320, 1.0), (0.265, 0.690, 1.0), (0.150, 0.060, 1.0))
    stated = (31_270, 32_900, *(round(part * 100_000) for point in points for part in point[:2]))
    found = srgb_by_gamma(COLOURS, 45_455, stated)
    # Two steps in light by the published matrix of linear Display P3 to linear sRGB.
    matrix = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
    light = np.where(COLOURS <= 10.31, COLOURS / 255 / 12.92, ((COLOURS / 255 + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ matrix.T, 0, 1)
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    np.testing.assert_allclose(found, expected, atol=1.5)
    assert np.abs(expected - COLOURS).max() > 20


def test_values_of_srgb_are_left_alone() -> None:
    assert is_srgb(None, None) and is_srgb(
        45_455, (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
    )
    assert not is_srgb(100_000, None)
    assert srgb_by_gamma(COLOURS, 45_455, None) is COLOURS


def test_chromaticities_that_span_nothing_are_named() -> None:
    with pytest.raises(ValueError, match="span no colours"):
        srgb_by_gamma(COLOURS, None, (31_270, 32_900, *[30_000, 60_000] * 3))


def test_greys_keep_their_mode_under_a_grey_profile() -> None:
    """A grey profile of gamma 1 by hand: header, white point, curve."""
    curve = struct.pack(">4sIIHxx", b"curv", 0, 1, 256)
    white = struct.pack(">4sIIII", b"XYZ ", 0, 63190, 65536, 54061)
    text = b"desc" + bytes(4) + struct.pack(">I", 2) + b"g\0" + bytes(78)
    text += bytes(-len(text) % 4)
    parts, tags, place = [], [], 128 + 4 + 12 * 3
    for name, body in ((b"wtpt", white), (b"kTRC", curve), (b"desc", text)):
        tags.append(struct.pack(">4sII", name, place, len(body)))
        parts.append(body)
        place += len(body)
    head = struct.pack(">I4sI4s4s4s", place, b"lcms", 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    head = head.ljust(36, b"\0") + b"acsp" + bytes(28) + struct.pack(">III", 63190, 65536, 54061)
    profile = head.ljust(128, b"\0") + struct.pack(">I", 3) + b"".join(tags) + b"".join(parts)
    ImageCms.ImageCmsProfile(io.BytesIO(profile))
    ramp = np.arange(256, dtype=np.uint8).reshape(1, -1)
    found = srgb_by_profile(Image.fromarray(ramp), profile)
    light = ramp / 255
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert found.mode == "L"
    np.testing.assert_allclose(np.asarray(found), expected, atol=2.0)
