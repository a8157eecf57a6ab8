"""Rooms, lines and noise: what they must and must not do to a clip."""

from __future__ import annotations

import numpy as np
import pytest

from vqmm.data.sources.degrade import RATES, Recording, change_speed, degrade


def _tone(frequency: float = 440.0, rate: int = 22_050, seconds: float = 0.5) -> Recording:
    times = np.arange(int(rate * seconds)) / rate
    return Recording((0.5 * np.sin(2 * np.pi * frequency * times)).astype(np.float32), rate)


def _peak_frequency(clip: Recording) -> float:
    spectrum = np.abs(np.fft.rfft(clip.samples * np.hanning(len(clip.samples))))
    return float(np.fft.rfftfreq(len(clip.samples), 1 / clip.rate)[spectrum.argmax()])


def test_result_is_sound_and_still_holds_the_tone() -> None:
    rates = set()
    for seed in range(40):
        clip = degrade(_tone(), np.random.default_rng(seed))
        rates.add(clip.rate)
        assert clip.samples.dtype == np.float32 and np.isfinite(clip.samples).all()
        assert 0.04 < np.abs(clip.samples).max() < 0.9
        assert 0.5 <= len(clip.samples) / clip.rate < 1.9
        assert _peak_frequency(clip) == pytest.approx(440, abs=15)
    assert rates == set(RATES)


def test_same_seed_same_clip_and_noise_fills_the_silence() -> None:
    first, again, other = (degrade(_tone(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.rate != other.rate or not np.array_equal(first.samples, other.samples)
    silent_share = np.mean(np.abs(first.samples) == 0)
    assert silent_share < 0.01


@pytest.mark.parametrize("factor", [0.87, 1.15])
def test_speed_moves_pitch_and_length(factor: float) -> None:
    clip = change_speed(_tone(seconds=1.0), factor)
    assert _peak_frequency(clip) == pytest.approx(440 * factor, rel=0.01)
    assert len(clip.samples) / clip.rate == pytest.approx(1 / factor, rel=0.01)
