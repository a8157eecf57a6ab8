from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from vqmm.data.draws import Stream, drawn, item_seeds


def test_an_items_seeds_do_not_depend_on_the_size_of_the_batch():
    seeds = item_seeds(5, 7, 64)
    assert seeds.shape == (64, 4)
    assert seeds.dtype == np.int32
    np.testing.assert_array_equal(item_seeds(5, 7, 3), seeds[:3])


def test_seeds_differ_between_runs_steps_and_items():
    rows = np.concatenate([item_seeds(seed, step, 32) for seed in range(4) for step in range(8)])
    assert len(np.unique(rows[:, :2], axis=0)) == len(np.unique(rows[:, 2:], axis=0)) == len(rows)


@pytest.mark.parametrize(("normal", "mean", "deviation"), [(False, 0.5, 12**-0.5), (True, 0.0, 1.0)])
def test_numbers_are_distributed_and_independent(normal, mean, deviation):
    seeds = tf.constant(item_seeds(0, 0, 8)[:, :2])
    found = drawn(seeds, [Stream(number, [2_000], normal) for number in (0, 1)])
    first, other = found[0].numpy(), found[1].numpy()
    assert abs(first.mean() - mean) < 0.02
    assert abs(first.std() - deviation) < 0.02
    both = np.corrcoef(np.concatenate([first, other]))
    assert np.abs(both - np.eye(16)).max() < 0.12  # 5 standard errors


def test_a_draw_is_the_items_own_and_the_streams_own():
    seeds = tf.constant(item_seeds(0, 0, 4)[:, :2])
    streams = [Stream(0, [3, 2]), Stream(5, []), Stream(7, [6], normal=True)]
    together = drawn(seeds, streams)
    assert [together[stream.number].shape for stream in streams] == [(4, 3, 2), (4,), (4, 6)]
    for stream in streams:
        alone = drawn(seeds[2:3], [stream])[stream.number]
        np.testing.assert_array_equal(alone[0], together[stream.number][2])


def test_numbers_are_tensorflows_own_of_the_seed_and_stream():
    seeds = item_seeds(3, 1, 2)[:, :2]
    found = drawn(tf.constant(seeds), [Stream(4, [5])])[4]
    for seed, numbers in zip(seeds, found, strict=True):
        own = tf.random.experimental.stateless_fold_in(seed, 4)
        np.testing.assert_array_equal(tf.random.stateless_uniform([5], own, alg="philox"), numbers)
