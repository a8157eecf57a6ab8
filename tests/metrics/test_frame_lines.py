"""Buzz at the frame rate, on sounds whose spectrum is known."""

import numpy as np
import pytest

from vqmm.metrics.frame_lines import frame_lines

RATE, HOP = 8000, 160


def test_pulses_at_the_frame_rate_stand_out_and_noise_does_not():
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.standard_normal((2, 8000))
    pulses = np.zeros((1, 8000))
    pulses[:, ::HOP] = 1.0
    found = frame_lines(np.concatenate([noise, pulses, noise[:1] + pulses]), HOP)
    assert np.abs(found[:2]).max() < 1.5 and found[2] > 40 and 3 < found[3] < 40


def test_a_tone_between_lines_is_below_and_silence_at_zero():
    time = np.arange(8000) / RATE
    found = frame_lines(np.stack([np.sin(2 * np.pi * 1525 * time), 0 * time]), HOP)
    assert found[0] < -40 and found[1] == 0


def test_short_clips_are_refused():
    with pytest.raises(ValueError, match="1600 samples"):
        frame_lines(np.zeros((1, 1599)), HOP)
