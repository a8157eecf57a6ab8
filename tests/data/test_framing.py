"""Framing: where a known figure lands, in what colour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.data.framing import MARGIN, Picture, border_colour, content_box, frame_picture


def _figure(rows: int, columns: int, box: tuple[int, int, int, int], ink: float, paper: float) -> Picture:
    left, top, right, bottom = box
    picture = np.full((rows, columns, 1), paper, np.float32)
    picture[top:bottom, left:right] = ink
    return picture


def _extent(framed: Picture, paper: float) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is nearer to ink than to paper."""
    difference = np.abs(framed[:, :, 0] - paper)
    ink = difference > difference.max() / 2
    across, down = np.flatnonzero(ink.any(0)), np.flatnonzero(ink.any(1))
    return int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1


@settings(max_examples=40)
@given(left=st.integers(1, 30), top=st.integers(1, 30), wide=st.integers(8, 40), high=st.integers(8, 40))
def test_trim_centres_the_figure_with_the_margin_whatever_its_place(
    left: int, top: int, wide: int, high: int
) -> None:
    picture = _figure(72, 72, (left, top, left + wide, top + high), 1.0, 0.2)
    framed = frame_picture(picture, 64, 64, trim=True)
    x0, y0, x1, y1 = _extent(framed, 0.2)
    inner = 64 * (1 - 2 * MARGIN)
    scale = inner / max(wide, high)
    slack = 1 + 1.6 * scale  # the search copy is blurred by one of its pixels, 72/96 of ours, a side
    assert abs((x1 - x0) - wide * scale) <= slack and abs((y1 - y0) - high * scale) <= slack
    assert abs((x0 + x1) / 2 - 32) <= 2 and abs((y0 + y1) / 2 - 32) <= 2


def test_an_8x8_scan_is_cut_between_its_pixels() -> None:
    """A half-dark column counts half: the box of a symmetric figure is symmetric to a tenth of a pixel."""
    scan = np.zeros((8, 8, 1), np.float32)
    scan[1:7, 3:5] = 1.0
    scan[1:7, 2] = scan[1:7, 5] = 0.5
    box = content_box(scan)
    assert box is not None
    assert abs((box.left + box.right) / 2 - 4) < 0.1 and abs((box.top + box.bottom) / 2 - 4) < 0.1
    assert 1.6 < box.left < 2.4 and 0.5 < box.top < 1.2


def test_dust_shading_and_noise_do_not_widen_the_box() -> None:
    rng = np.random.default_rng(0)
    paper = np.linspace(0.92, 0.80, 400, dtype=np.float32)[None, :, None] * np.ones((400, 1, 1), np.float32)
    paper += rng.normal(0, 0.03, paper.shape).astype(np.float32)
    for y, x in rng.integers(0, 398, (12, 2)):
        paper[y : y + 2, x : x + 2] = 0.2
    paper[150:260, 120:200] = 0.15
    box = content_box(np.clip(paper, 0, 1))
    assert box is not None
    assert np.allclose(box, (120, 150, 200, 260), atol=6)


@pytest.mark.parametrize("background", ["dark", "light"])
@pytest.mark.parametrize("paper", [0.1, 0.9])
def test_background_inverts_only_where_the_border_disagrees(background: str, paper: float) -> None:
    picture = _figure(20, 20, (5, 5, 15, 15), 1 - paper, paper)
    framed = frame_picture(picture, 20, 20, background=background)  # type: ignore[arg-type]
    assert (border_colour(framed)[0] > 0.5) == (background == "light")
    agrees = (paper > 0.5) == (background == "light")
    np.testing.assert_allclose(framed, picture if agrees else 1 - picture, atol=1e-6)


def test_stretch_takes_paper_to_black_and_faint_ink_to_white() -> None:
    picture = _figure(40, 40, (10, 10, 30, 30), 0.55, 0.8)
    framed = frame_picture(picture, 32, 32, trim=True, background="dark", stretch=True)
    # Resampling overshoots a hard edge by some per cent.
    assert framed[0, 0, 0] < 0.01 and framed[16, 16, 0] > 0.94
    light = frame_picture(picture, 32, 32, trim=True, background="light", stretch=True)
    np.testing.assert_allclose(light, 1 - framed, atol=1e-5)


def test_aspect_is_kept_and_the_rest_has_the_border_colour() -> None:
    picture = np.broadcast_to(np.array([0.1, 0.4, 0.7], np.float32), (10, 40, 3)).copy()
    picture[2:8, 5:35] = [0.9, 0.2, 0.3]
    framed = frame_picture(picture, 40, 40)
    np.testing.assert_allclose(framed[:14], np.broadcast_to([0.1, 0.4, 0.7], (14, 40, 3)), atol=1e-5)
    np.testing.assert_allclose(framed[20, 20], [0.9, 0.2, 0.3], atol=1e-5)


def test_a_blank_picture_stays_blank() -> None:
    blank = np.full((9, 5, 1), 0.3, np.float32)
    assert content_box(blank) is None
    framed = frame_picture(blank, 16, 16, trim=True, background="dark", stretch=True)
    np.testing.assert_allclose(framed, 0.3, atol=1e-6)


def test_same_size_and_no_rules_is_the_picture_itself() -> None:
    picture = np.random.default_rng(0).random((12, 17, 3), np.float32)
    np.testing.assert_allclose(frame_picture(picture, 12, 17), picture, atol=1e-6)
