"""An item that comes several times in a batch is not its own negative."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from vqmm import losses
from vqmm.config import load_config
from vqmm.data.batches import check_batch_size, training_batches
from vqmm.errors import UserError


def unit(seed, *shape):
    x = np.random.default_rng(seed).normal(size=shape).astype("float32")
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


ITEMS = np.array([4, 7, 4, 9, 7, 4])
PAIRED = np.array([True, True, True, False, True, True])


def test_contrast_leaves_copies_out_of_the_negatives():
    audio, image = unit(0, 6, 2, 5), unit(1, 6, 2, 5)
    logits = np.einsum("itd,jtd->ij", audio, image) / 2 / 0.2
    costs = []
    for row in np.flatnonzero(PAIRED):
        others = np.flatnonzero(PAIRED & ((ITEMS[row] != ITEMS) | (np.arange(6) == row)))
        costs += [logsumexp(logits[row, others]) - logits[row, row]]
        costs += [logsumexp(logits[others, row]) - logits[row, row]]
    found = losses.contrastive_loss(audio, image, PAIRED, 0.2, ITEMS)
    assert float(found) == pytest.approx(np.mean(costs), rel=1e-4)


@pytest.mark.parametrize("loss", [losses.contrastive_loss, losses.code_matching_loss])
def test_a_batch_of_whole_copies_costs_what_one_of_each_costs(loss):
    audio, image = unit(2, 3, 2, 5), unit(3, 3, 2, 5)
    once = loss(audio, image, np.ones(3, bool), 0.2)
    # Two rows are copies of each other, of each of three items.
    twice = [np.concatenate([x, x]) for x in (audio, image)]
    items = np.array([0, 1, 2, 0, 1, 2])
    copies = loss(*twice, np.ones(6, bool), 0.2, items)
    plain = loss(*twice, np.ones(6, bool), 0.2)
    # Each row still meets both copies of the two other items.
    assert float(once) < float(copies) < float(plain)
    assert float(loss(audio, image, np.ones(3, bool), 0.2, np.arange(3))) == float(once)
    assert float(loss(twice[0], twice[1], np.ones(6, bool), 0.2, np.zeros(6, int))) == pytest.approx(
        0, abs=1e-5
    )


def test_replicas_see_the_copies_of_each_other(two_replicas):
    audio, image = unit(4, 6, 2, 5), unit(5, 6, 2, 5)
    whole = losses.contrastive_loss(audio, image, PAIRED, 0.2, ITEMS)
    from vqmm.models.autoencoder import items_of
    from vqmm.replicas import gather_over_replicas

    def step(audio, image, paired, items):
        paired = tf.cast(gather_over_replicas(tf.cast(paired, tf.int32)), tf.bool)
        sides = [gather_over_replicas(x) for x in (audio, image)]
        return losses.contrastive_loss(*sides, paired, 0.2, items_of({"item": items}))

    halves = two_replicas.experimental_distribute_values_from_function(
        lambda here: tuple(
            tf.constant(x[3 * here.replica_id_in_sync_group :][:3]) for x in (audio, image, PAIRED, ITEMS)
        )
    )
    found = tf.function(lambda x: two_replicas.run(step, args=x))(halves)
    assert float(two_replicas.reduce("mean", found, axis=None)) == pytest.approx(float(whole), rel=1e-5)


def test_batches_name_the_item_where_pairs_are_of_items(tiny_config, tiny_data):
    assert "item" not in training_batches(tiny_data, tiny_config).element_spec
    by_item = tiny_config.model_copy(update={"data": tiny_config.data.model_copy(update={"pair_by": "item"})})
    (batch,) = training_batches(dataclasses.replace(tiny_data, pair_by="item"), by_item).take(1)
    split = tiny_data.split("train")
    items = {
        str(name): item for side in split for name, item in zip(side.ids, side.items.tolist(), strict=True)
    }
    named = [text.decode().split("+")[0] for text in batch["id"].numpy().tolist()]
    assert batch["item"].numpy().tolist() == [items[name] for name in named]


@pytest.mark.parametrize("pairs, refused", [(40, True), (64, False), (0, False)])
def test_a_batch_of_labels_larger_than_the_data_is_refused(pairs, refused):
    config = load_config("configs/digits.yaml")
    if not refused:
        check_batch_size(config, pairs)
        return
    with pytest.raises(UserError, match="train.batch_size=64 is more than the 40 pairs.*to 40 or less"):
        check_batch_size(config, pairs)
    check_batch_size(load_config("configs/digits.yaml", ["data.pair_by=item"]), pairs)
    check_batch_size(load_config("configs/digits.yaml", ["loss.contrastive=0"]), pairs)
