"""Trimming finds a known sound in silence, hiss, hum and clicks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.data.trim import MARGIN_SECONDS, Audio, trim_silence

RATE = 8_000


def _burst(seconds: float = 0.5, hertz: float = 400.0) -> Audio:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def _placed(sound: Audio, before: float, after: float) -> Audio:
    return np.pad(sound, (round(before * RATE), round(after * RATE)))


def _bounds(trimmed: Audio, whole: Audio) -> tuple[float, float]:
    """Where a slice lies in the whole, in seconds."""
    begin = (trimmed.ctypes.data - whole.ctypes.data) // whole.itemsize
    return begin / RATE, (begin + trimmed.size) / RATE


@settings(max_examples=40)
@given(before=st.floats(0.0, 2.0), after=st.floats(0.0, 2.0), level=st.floats(-40, 0))
def test_keeps_the_sound_and_a_margin(before: float, after: float, level: float) -> None:
    whole = _placed(_burst(), before, after) * np.float32(10 ** (level / 20))
    begin, end = _bounds(trim_silence(whole, RATE, 35), whole)
    sample = 1 / RATE  # the padding is rounded to one
    assert begin <= before + sample and end >= before + 0.5 - sample
    assert before - begin < MARGIN_SECONDS + 0.04
    assert end - (before + 0.5) < MARGIN_SECONDS + 0.06


@pytest.mark.parametrize("snr_db", [10, 20, 30])
@pytest.mark.parametrize("kind", ["hiss", "hum"])
def test_cuts_a_steady_background_that_lies_above_trim_db(kind: str, snr_db: int) -> None:
    whole = _placed(_burst(), 0.8, 0.7)
    time = np.arange(whole.size) / RATE
    rng = np.random.default_rng(0)
    hiss = rng.standard_normal(whole.size)
    noise = hiss if kind == "hiss" else np.sin(2 * np.pi * 50 * time) + 0.05 * hiss
    noise *= 0.35 * 10 ** (-snr_db / 20) / np.sqrt(np.mean(noise**2))
    noisy = (whole + noise).astype(np.float32)
    begin, end = _bounds(trim_silence(noisy, RATE, 60), noisy)
    assert 0.6 < begin <= 0.8 and 1.3 <= end < 1.5


def test_a_lone_click_is_not_sound_but_a_near_one_is() -> None:
    whole = _placed(_burst(), 1.0, 1.0)
    whole[round(0.3 * RATE) : round(0.3 * RATE) + 16] = 0.9  # a mouse button, 2 ms
    whole[round(1.6 * RATE) : round(1.6 * RATE) + 80] = 0.4  # the release of a final t, 10 ms
    begin, end = _bounds(trim_silence(whole, RATE, 35), whole)
    assert 0.85 < begin <= 1.0
    assert 1.61 <= end < 1.75


def test_nothing_is_cut_where_the_sound_fills_the_clip_or_trimming_is_off() -> None:
    sound = _burst()
    assert trim_silence(sound, RATE, 35).size == sound.size
    assert trim_silence(_placed(sound, 1, 1), RATE, 0).size == 2.5 * RATE
    noise = np.random.default_rng(1).standard_normal(RATE).astype(np.float32)
    assert trim_silence(noise, RATE, 35).size == RATE
    assert trim_silence(noise[:3], RATE, 35).size == 3
