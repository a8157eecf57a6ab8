import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from vqmm.quantizers import search
from vqmm.quantizers.search import nearest_rows


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@settings(max_examples=40)
@given(
    seed=st.integers(0, 999),
    count=st.integers(1, 70),
    size=st.integers(1, 100),
    dim=st.integers(1, 9),
    block=st.sampled_from([1, 64, 10_000]),
    group=st.sampled_from([16, 33, 256]),
)
def test_finds_what_all_distances_say(seed, count, size, dim, block, group):
    x, table = draw(seed, count, dim), draw(seed + 1, size, dim)
    distances = np.square(x[:, None].astype("float64") - table[None]).sum(-1)
    kept = search.BLOCK_SCORES, search.GROUP
    search.BLOCK_SCORES, search.GROUP = block, group
    try:
        found = np.array(nearest_rows(x, table))
    finally:
        search.BLOCK_SCORES, search.GROUP = kept
    assert found.dtype == np.int32
    np.testing.assert_allclose(distances[np.arange(count), found], distances.min(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("block", "group"), [(8, 256), (10_000, 256), (10_000, 16)])
def test_the_first_of_equal_rows(block, group, monkeypatch):
    monkeypatch.setattr(search, "BLOCK_SCORES", block)
    monkeypatch.setattr(search, "GROUP", group)
    table = np.repeat(draw(3, 16, 5), 3, axis=0)  # 48 rows: with groups of 16, equals lie in two
    np.testing.assert_array_equal(nearest_rows(table, table), np.repeat(3 * np.arange(16), 3))


def test_batches_whose_size_is_known_at_the_call_alone(monkeypatch):
    monkeypatch.setattr(search, "BLOCK_SCORES", 64)
    table = tf.constant(draw(4, 16, 3))
    found = tf.function(lambda x: nearest_rows(x, table), input_signature=[tf.TensorSpec((None, 5, 3))])
    for size in (1, 2, 7):
        x = draw(size, size, 5, 3)
        expected = np.square(x[..., None, :] - table.numpy()).sum(-1).argmin(-1)
        np.testing.assert_array_equal(found(x), expected)


def test_memory_stays_below_that_of_all_scores():
    """65,536 x 4,096 scores are 1 GiB; the graph's largest tensor is a block."""
    table = tf.constant(draw(5, 4096, 4))
    traced = tf.function(lambda x: nearest_rows(x, table)).get_concrete_function(tf.TensorSpec((65_536, 4)))
    bodies = [traced.graph, *(f.graph for f in traced.graph._functions.values())]
    shapes = [tensor.shape for graph in bodies for op in graph.get_operations() for tensor in op.outputs]
    sizes = [shape.num_elements() or 0 for shape in shapes if shape.rank is not None]
    assert max(sizes) == search.BLOCK_SCORES  # the block is among them


def test_few_latents_of_unknown_number_do_not_fill_a_block(monkeypatch):
    def rows(scores):
        count = ops.shape(scores)[0]
        return ops.broadcast_to(count, (count,))

    monkeypatch.setattr(search, "_argmax", rows)
    table = np.eye(5, 4, dtype="float32")
    find = tf.function(lambda x: search.nearest_rows(x, table), input_signature=[tf.TensorSpec((None, 4))])
    assert find(np.ones((3, 4), "float32")).numpy().tolist() == [3, 3, 3]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 30])
def test_any_unknown_number_is_searched(monkeypatch, count):
    monkeypatch.setattr(search, "BLOCK_SCORES", 8 * 5)
    rng = np.random.default_rng(count)
    latents, table = (rng.standard_normal((n, 4)).astype("float32") for n in (count, 5))
    find = tf.function(lambda x: search.nearest_rows(x, table), input_signature=[tf.TensorSpec((None, 4))])
    expected = ((latents[:, None] - table) ** 2).sum(-1).argmin(-1)
    np.testing.assert_array_equal(find(latents), expected)
