"""Channels are averaged unless they cancel; then the loudest is taken."""

import numpy as np
import pytest

from vqmm.data.mixing import ChannelMixer

RATE = 8000
TIME = np.arange(RATE) / RATE
VOICE = (0.3 * np.sin(2 * np.pi * (400 + 300 * TIME) * TIME)).astype(np.float32)
HUM = (0.3 * np.sin(2 * np.pi * 50 * TIME)).astype(np.float32)
NOISE = np.random.default_rng(0).standard_normal((RATE, 8)).astype(np.float32)


def mixed(*channels, block=1000):
    """The mixer after all of a recording, whose means are those of numpy."""
    sound = np.stack(channels, axis=1).astype(np.float32)
    mixer = ChannelMixer(sound.shape[1])
    mean = np.concatenate([mixer.mean(sound[at : at + block]) for at in range(0, len(sound), block)])
    np.testing.assert_array_equal(mean, sound.mean(axis=1))
    return mixer


@pytest.mark.parametrize(
    "channels",
    [
        (VOICE,),
        (VOICE, VOICE),
        (VOICE, 0 * VOICE),
        (VOICE, np.roll(VOICE, 1)),
        (VOICE + 0.5, 0.2 * VOICE - 0.5),
        (VOICE, -0.3 * VOICE),
        tuple(NOISE.T[:2]),
        tuple(NOISE.T),
        (VOICE, 0 * VOICE, 0 * VOICE, 0 * VOICE),
        (0 * VOICE, 0 * VOICE),
    ],
)
def test_ordinary_channels_do_not_cancel(channels):
    assert not mixed(*channels).cancels()


@pytest.mark.parametrize(
    "channels, loudest",
    [
        ((VOICE, -VOICE), 0),
        ((0.8 * VOICE, -VOICE), 1),
        ((VOICE + HUM, HUM - VOICE), 0),
        ((VOICE + 2 * HUM, 2 * HUM - VOICE), 0),
        ((0.5 + VOICE, -VOICE), 0),
        ((VOICE, -VOICE, 0.9 * VOICE, -0.9 * VOICE), 0),
        ((VOICE + 0.01 * NOISE[:, 0], -VOICE + 0.03 * NOISE[:, 1]), 1),
    ],
)
def test_channels_of_opposite_phase_cancel(channels, loudest):
    mixer = mixed(*channels)
    assert mixer.cancels() and mixer.loudest == loudest


def test_the_kept_energy_is_that_of_the_sum_over_that_of_the_channels():
    """1 + the correlation, for two channels that are equally loud."""
    for weight in (-0.99, -0.9, -0.76, -0.74, -0.5, 0.0, 0.7):
        other = weight * NOISE[:, 0] + np.sqrt(1 - weight**2) * NOISE[:, 1]
        found = mixed(NOISE[:, 0], other, block=777)
        raw = np.var(NOISE[:, 0] + other) / (np.var(NOISE[:, 0]) + np.var(other))
        first = np.diff(NOISE[:, 0], prepend=NOISE[0, 0]), np.diff(other, prepend=other[0])
        steps = np.sum((first[0] + first[1]) ** 2) / np.sum(first[0] ** 2 + first[1] ** 2)
        assert found.kept == pytest.approx(min(raw, steps), rel=1e-4)
        assert found.cancels() == (found.kept < 0.25)
