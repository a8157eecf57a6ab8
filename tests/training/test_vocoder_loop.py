"""Which clips of a batch a tokenizer rebuilds, without training."""

import types

import numpy as np
import pytest
import tensorflow as tf

from vqmm.data.batches import WHOLE, Part
from vqmm.training.vocoder_loop import partly_rebuilt

SIZE = 12
STAND_IN = types.SimpleNamespace(
    reconstruct=lambda audio, name: -audio[:, :2], log_mel=lambda audio: audio[:, :2]
)


def log_mel(share, part=WHOLE):
    audio = tf.reshape(tf.range(1.0, 1.0 + 3 * SIZE), [SIZE, 3])
    given = partly_rebuilt(STAND_IN, share, SIZE, part)
    return given({"audio": audio[part.rows(SIZE)]})["log_mel"].numpy()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("processes", [1, 2, 3, 12])
def test_they_do_not_depend_on_the_number_of_processes(share, processes):
    whole = log_mel(share)
    parts = [log_mel(share, Part(place, processes)) for place in range(processes)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert (whole < 0).all(axis=1).sum() == np.floor(share * SIZE + 0.5)
    np.testing.assert_array_equal(np.abs(whole)[:, 0], 1.0 + 3 * np.arange(SIZE))  # each at its place


def test_they_are_spread_so_that_processes_have_as_much_to_do():
    counts = [(log_mel(0.5, Part(place, 3)) < 0).all(axis=1).sum() for place in range(3)]
    assert counts == [2, 2, 2]
