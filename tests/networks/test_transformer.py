"""Token by token is the same as all at once."""

import keras
import numpy as np
import pytest

from vqmm.networks.transformer import TransformerBlock

LENGTH, DIM = 7, 8


@pytest.fixture(scope="module")
def block():
    made = TransformerBlock(heads=2, seed=3)
    made.build((None, LENGTH, DIM))
    return made


def test_steps_with_a_cache_are_the_causal_pass(block):
    x = np.random.default_rng(0).standard_normal((3, LENGTH, DIM)).astype("float32")
    whole = block(x, np.tril(np.ones((1, LENGTH, LENGTH), bool)))
    cache, found = block.empty_cache(3, LENGTH, DIM), []
    for place in range(LENGTH):
        mask = (np.arange(LENGTH) <= place)[None, None]
        one, cache = block.step(x[:, place : place + 1], cache, place, mask)
        found.append(np.asarray(one))
    np.testing.assert_allclose(np.concatenate(found, axis=1), whole, atol=1e-5)


def test_attention_is_the_softmax_of_scaled_products(block):
    x = np.random.default_rng(1).standard_normal((1, LENGTH, DIM)).astype("float32")
    normed = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    part = block.attention
    q, k, v = (
        np.einsum("btd,dhk->bthk", normed, np.asarray(dense.kernel)) + np.asarray(dense.bias)
        for dense in (part.query_dense, part.key_dense, part.value_dense)
    )
    scores = np.einsum("bthk,bshk->bhts", q, k) / np.sqrt(DIM / 2)
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    mixed = np.einsum("bhts,bshk->bthk", shares, v)
    wanted = np.einsum("bthk,hkd->btd", mixed, np.asarray(part.output_dense.kernel))
    np.testing.assert_allclose(part(normed, normed), wanted, atol=1e-5)


def test_heads_must_divide_the_vectors():
    with pytest.raises(ValueError, match="dim=8 does not divide among heads=3"):
        TransformerBlock(heads=3).build((None, LENGTH, DIM))


def test_the_config_makes_the_same_block_again(block):
    again = TransformerBlock.from_config(block.get_config())
    again.build((None, LENGTH, DIM))
    assert [w.shape for w in again.weights] == [w.shape for w in block.weights]
    np.testing.assert_array_equal(again.widen.kernel, block.widen.kernel)  # of the same seed
    assert isinstance(again, keras.layers.Layer)
