"""Patch discriminators."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vqmm.networks import Discriminator


def items(n=3, height=24, width=16):
    return np.random.default_rng(0).uniform(size=(n, height, width, 2)).astype("float32")


def test_every_scale_judges_patches_of_a_grid_halved_once_more():
    found = Discriminator((8, 16), scales=2)(items())
    # 24 x 16: one halving, then a kernel of 4 on a border of 1, twice
    assert [x.shape for x in found.logits] == [(3, 10, 6, 1), (3, 4, 2, 1)]
    assert [x.shape[-1] for x in found.features] == [8, 16, 8, 16]


def test_an_items_logits_do_not_depend_on_the_batch():
    layer = Discriminator((8, 16))
    whole, alone = layer(items()).logits[0], layer(items()[:1]).logits[0]
    np.testing.assert_allclose(whole[:1], alone, atol=1e-5)


def test_it_loads_in_safe_mode_and_judges_the_same(tmp_path):
    layer = Discriminator((8, 16), scales=2, seed=3)
    x = keras.Input((24, 16, 2))
    model = keras.Model(x, layer(x).logits)
    model.save(tmp_path / "d.keras")
    twin = keras.models.load_model(tmp_path / "d.keras")
    for one, other in zip(model(items()), twin(items()), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"filters": (8, 9)}, "multiples of 8"),
        ({"filters": (8,)}, "two or more"),
        ({"scales": 0}, "at least 1"),
        ({"norm": "layer"}, "legal: group, batch"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Discriminator(**settings)


def test_items_too_small_for_the_scales_are_refused():
    with pytest.raises(ValueError, match="24 x 16 at 3 scales have 4 cells.* 2 filters need 6"):
        Discriminator((8, 16), scales=3).build((None, 24, 16, 2))


def test_batch_normalisation_is_over_all_replicas(two_replicas):
    """So the statistics, and with them all that is judged, are those of one device."""
    x = items(6)
    alone = Discriminator((8, 16), norm="batch")
    wanted = alone(x, training=True).logits[0]
    with two_replicas.scope():
        layer = Discriminator((8, 16), norm="batch")
        layer.build(x.shape)
    halves = two_replicas.experimental_distribute_values_from_function(
        lambda here: tf.constant(x[3 * here.replica_id_in_sync_group :][:3])
    )
    judge = tf.function(lambda part: layer(part, training=True).logits[0], autograph=False)
    parts = two_replicas.experimental_local_results(two_replicas.run(judge, (halves,)))
    np.testing.assert_allclose(np.concatenate(parts), wanted, atol=1e-4)
    for ours, theirs in zip(layer.variables, alone.variables, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=1e-5, err_msg=theirs.path)
