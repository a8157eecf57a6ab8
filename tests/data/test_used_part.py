"""The part of a recording that is used is the one that the model is given."""

import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import AudioSpec
from vqmm.data.used_part import count_longer, longer_than_window, used_part
from vqmm.data.windows import loudest_start

SPEC = AudioSpec(sample_rate=1000, samples=64)


@pytest.mark.parametrize("length", [10, 64, 65, 200, 1000])
def test_the_part_is_the_loudest_window(length):
    samples = np.random.default_rng(length).integers(-3000, 3000, length).astype(np.int16)
    part = used_part(samples, 500, 3000, SPEC)
    start = int(loudest_start(tf.constant(samples), 64))
    assert part.start == pytest.approx((500 + start) / 1000) and part.of == 3.0
    assert part.end == pytest.approx(part.start + min(length, 64) / 1000)
    assert part.is_cut == (length > 64)
    assert set(part.facts()) == {"start_seconds", "end_seconds", "of_seconds"}


def test_the_sentence_has_the_times():
    part = used_part(np.r_[np.zeros(100), np.full(64, 9), np.zeros(36)].astype(np.int16), 20, 400, SPEC)
    assert part.sentence() == (
        "is longer than the model's window: its loudest 0.064 s, from 0.120 to 0.184 s of 0.400 s, are used"
    )


def test_longer_recordings_are_counted():
    lengths = np.array([1, 64, 65, 900])
    assert count_longer(lengths, SPEC) == 2 and longer_than_window(lengths[:2], SPEC) is None
    assert longer_than_window(lengths, SPEC).startswith(
        "2 of 4 recordings are longer than the model's window of 0.064 s"
    )
