from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from vqmm.data.draws import item_seeds, normal, uniform


def test_an_items_seeds_do_not_depend_on_the_size_of_the_batch():
    seeds = item_seeds(5, 7, 64)
    assert seeds.shape == (64, 4)
    assert seeds.dtype == np.int32
    np.testing.assert_array_equal(item_seeds(5, 7, 3), seeds[:3])


def test_seeds_differ_between_runs_steps_and_items():
    rows = np.concatenate([item_seeds(seed, step, 32) for seed in range(4) for step in range(8)])
    assert len(np.unique(rows[:, :2], axis=0)) == len(np.unique(rows[:, 2:], axis=0)) == len(rows)


@pytest.mark.parametrize(("draw", "mean", "deviation"), [(uniform, 0.5, 12**-0.5), (normal, 0.0, 1.0)])
def test_numbers_are_distributed_and_independent(draw, mean, deviation):
    seeds = tf.constant(item_seeds(0, 0, 8)[:, :2])
    first, other = (draw(seeds, [2_000], stream).numpy() for stream in (0, 1))
    assert abs(first.mean() - mean) < 0.02
    assert abs(first.std() - deviation) < 0.02
    both = np.corrcoef(np.concatenate([first, other]))
    assert np.abs(both - np.eye(16)).max() < 0.12  # 5 standard errors


def test_a_draw_is_the_items_own():
    seeds = tf.constant(item_seeds(0, 0, 4)[:, :2])
    together = uniform(seeds, [3, 2], 0).numpy()
    assert together.shape == (4, 3, 2)
    np.testing.assert_array_equal(uniform(seeds[2:3], [3, 2], 0).numpy()[0], together[2])
