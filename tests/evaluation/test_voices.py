"""Voices beside recordings, with a judge that knows tones by their loudest band."""

from types import SimpleNamespace

import numpy as np
import pytest

from vqmm.audio import LogMel
from vqmm.evaluation.voices import voices_section

RATE = 2000


@pytest.fixture(scope="module")
def section():
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    pitch = 200.0 + 250 * labels[:, None] + rng.uniform(-5, 5, (24, 1))
    recordings = 0.5 * np.sin(2 * np.pi * pitch * np.arange(1024) / RATE).astype("float32")
    recordings[0] = 0.0  # a silent one has no signal-to-distortion ratio
    rows = np.arange(12)
    noise = 0.3 * rng.standard_normal((12, 1024)).astype("float32")
    sounds = {"noisy": recordings[rows] + noise, "same": recordings[rows], "upside down": -recordings[rows]}
    peaks = [
        np.asarray(LogMel(RATE, 64, 32, 16)(recordings[n : n + 1])).mean((0, 1)).argmax() for n in (3, 1, 2)
    ]

    def probabilities(items):
        return np.stack([items.mean((1, 3))[:, peak] for peak in peaks], axis=1)

    judge = SimpleNamespace(
        kind="labels",
        labels=(0, 1, 2),
        probabilities=probabilities,
        features=lambda items: items.mean((1, 3))[:, ::4],
    )
    return voices_section(recordings, labels, sounds, judge, LogMel(RATE, 64, 32, 16), rows, 200)


def test_a_voice_that_says_the_same_is_at_no_distance(section):
    assert section["same"]["mel_distance"]["value"] == 0 < section["noisy"]["mel_distance"]["value"]
    assert section["same"]["frechet"]["value"] == pytest.approx(section["real"]["frechet"]["value"])
    assert section["noisy"]["frechet"]["value"] > 2 * section["real"]["frechet"]["value"]
    assert section["same"]["recognised"] == section["real"]["recognised"]


def test_gains_are_clip_by_clip_over_the_first_voice(section):
    assert section["noisy"]["mel_gain"]["value"] == 0
    gain, distance = section["same"]["mel_gain"], section["noisy"]["mel_distance"]
    assert gain["value"] == pytest.approx(distance["value"]) and gain["ci95"][0] > 0
    gain = section["same"]["frechet_gain"]
    apart = section["noisy"]["frechet"]["value"] - section["same"]["frechet"]["value"]
    assert gain["value"] == pytest.approx(apart) and 0 < gain["ci95"][0] < apart < gain["ci95"][1]
    assert section["noisy"]["frechet_gain"]["ci95"] == [0, 0]


def test_phase_counts_for_si_sdr_alone_and_silence_does_not(section):
    assert section["upside down"]["mel_distance"]["value"] == 0
    assert section["noisy"]["si_sdr"]["n"] == 11
    assert section["noisy"]["si_sdr"]["value"] == pytest.approx(10 * np.log10(0.125 / 0.09), abs=0.7)
    assert set(section["real"]) == {"frechet", "recognised", "frame_lines"}
