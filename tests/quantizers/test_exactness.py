"""One joint update: neither the order of modalities nor the number of replicas changes it."""

import numpy as np
import pytest
import tensorflow as tf

from vqmm.quantizers import Assignment, LookupFree, SimVQ, VectorQuantizer
from vqmm.quantizers.base import masked_mse

RANGES = {"shared": 12, "image": 6}


def made(**settings):
    """Most codes far from all latents, so that revival has work at every step."""
    quantizer = VectorQuantizer(
        RANGES, 3, distance="euclidean", decay=0.6, revive_below=0.2, revive_after=1, seed=4, **settings
    )
    table = np.array(quantizer.table())
    table[3:12] += 50.0
    table[14:] += 50.0
    for name, (start, stop) in quantizer.ranges.items():
        quantizer.place(name, table[start:stop])
    return quantizer


def parts(step, count=8, tokens=(5, 7)):
    rng = np.random.default_rng(step)
    audio, image = (rng.normal(size=(count, t, 3)).astype("float32") for t in tokens)
    present = np.arange(count) < {3: count // 2, 4: 0}.get(step, count)  # on one replica alone, on none
    return {
        "audio": audio,
        "image": image,
        "audio_mask": np.arange(count) % 3 != step % 3,
        "image_mask": present,
    }


def assignments(quantizer, items):
    mask, present = (tf.convert_to_tensor(items[f"{name}_mask"]) for name in ("audio", "image"))
    return [
        Assignment(items["audio"], quantizer.nearest(items["audio"], "shared"), mask, "shared"),
        Assignment(items["image"], quantizer.nearest(items["image"], "shared"), present, "shared"),
        Assignment(items["image"], quantizer.nearest(items["image"], "image"), present, "image"),
    ]


def assert_same(one, other):
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5, err_msg=a.path)


def test_two_replicas_do_what_one_does_with_both_batches_revival_included(two_replicas):
    alone = made()
    with two_replicas.scope():
        shared = made()

    @tf.function
    def step(items):
        two_replicas.run(lambda part: shared.update(assignments(shared, part)), args=(items,))

    revived = 0
    for number in range(6):
        items = parts(number)
        before = alone.ages.numpy()
        alone.update(assignments(alone, items))
        revived += int((alone.ages.numpy() < before).sum())
        halves = two_replicas.experimental_distribute_values_from_function(
            lambda context, items=items: {
                name: tf.constant(value[4 * context.replica_id_in_sync_group :][:4])
                for name, value in items.items()
            }
        )
        step(halves)
        assert_same(alone, shared)
    assert revived > 5
    copies = two_replicas.experimental_local_results(shared.codebook.value)
    np.testing.assert_array_equal(copies[0], copies[1])


def test_codes_are_to_be_even_over_the_batch_of_all_replicas(two_replicas):
    layer = LookupFree(4, spherical=True, inverse_temperature=2.0)
    latents = np.random.default_rng(0).normal(size=(8, 5, 4)).astype("float32")
    mask = np.array([True] * 5 + [False] * 3)

    def loss_and_gradient(latents, mask):
        with tf.GradientTape() as tape:
            tape.watch(latents)
            loss = layer(latents, present=mask).entropy_loss
        return loss, tape.gradient(loss, latents)

    loss, gradient = loss_and_gradient(tf.constant(latents), tf.constant(mask))
    halves = two_replicas.experimental_distribute_values_from_function(
        lambda context: tuple(
            tf.constant(value[4 * context.replica_id_in_sync_group :][:4]) for value in (latents, mask)
        )
    )
    found, parts = tf.function(lambda x: two_replicas.run(loss_and_gradient, args=x))(halves)
    np.testing.assert_allclose(two_replicas.reduce("mean", found, axis=None), loss, rtol=1e-5)
    joined = np.concatenate(two_replicas.experimental_local_results(parts)) / 2  # of the mean over replicas
    np.testing.assert_allclose(joined, gradient, atol=1e-6)


def test_the_order_of_modalities_changes_nothing_revival_included():
    forward, backward = made(), made()
    for number in range(6):
        items = parts(number)
        forward.update(assignments(forward, items))
        backward.update(assignments(backward, items)[::-1])
        assert_same(forward, backward)


def test_codes_revive_on_latents_that_are_present():
    quantizer, items = made(), parts(1)
    for _ in range(2):  # the second finds codes old enough
        quantizer.update(assignments(quantizer, items))
    latents = np.concatenate(
        [items["audio"][items["audio_mask"]].reshape(-1, 3), items["image"].reshape(-1, 3)]
    )
    table, reborn = np.array(quantizer.table()), quantizer.ages.numpy() == 0
    assert reborn.any()
    nearest = np.abs(table[reborn][:, None] - latents[None]).max(-1).min(1)
    np.testing.assert_allclose(nearest, 0.0, atol=1e-5)


@pytest.mark.parametrize("many", ["audio", "image"])
def test_ten_times_the_tokens_do_not_get_more_of_the_new_places(many):
    """Modalities lie apart, and so do the places: each gets about half of what is given out."""
    quantizer = VectorQuantizer({"shared": 400}, 3, distance="euclidean", decay=0.01, revive_after=0)
    rng = np.random.default_rng(0)
    counts = {"audio": 20, "image": 20, many: 200}
    sides = [
        rng.normal(size=(4, counts[name], 3)).astype("float32") + at
        for name, at in (("audio", 9), ("image", -9))
    ]
    quantizer.update([Assignment(x, quantizer.nearest(x), None) for x in sides])
    table, reborn = np.array(quantizer.table()), quantizer.ages.numpy() == 0
    assert reborn.sum() > 200
    share = (table[reborn][:, 0] > 0).mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(reborn.sum())


def present_mean(a, b, present):
    """The mean over the rows that are present, in plain numpy."""
    kept = np.square(a - b)[present]
    return kept.mean() if kept.size else 0.0


@pytest.mark.parametrize("kept", [8, 5, 1, 0])
def test_a_mean_square_is_over_the_rows_that_are_present(kept):
    a, b = np.random.default_rng(kept).normal(size=(2, 8, 5, 3)).astype("float32")
    present = np.arange(8) < kept
    assert float(masked_mse(a, b, present)) == pytest.approx(present_mean(a, b, present), rel=1e-5)
    assert masked_mse(a, b, np.ones(8, bool)) == masked_mse(a, b, None)  # bit for bit
    assert float(masked_mse(a, b, None)) == pytest.approx(np.square(a - b).mean(), rel=1e-5)


@pytest.mark.parametrize("kept", [7, 3, 0])  # all, some and none of the second replica's rows are missing
def test_a_mean_square_over_replicas_is_that_of_the_whole_batch(kept, two_replicas):
    a, b = np.random.default_rng(kept).normal(size=(2, 8, 5, 3)).astype("float32")
    present = np.arange(8) < kept
    halves = two_replicas.experimental_distribute_values_from_function(
        lambda here: tuple(tf.constant(x[4 * here.replica_id_in_sync_group :][:4]) for x in (a, b, present))
    )
    found = tf.function(lambda x: two_replicas.run(masked_mse, args=x))(halves)
    mean = float(two_replicas.reduce("mean", found, axis=None))
    assert mean == pytest.approx(present_mean(a, b, present), rel=1e-5)


@pytest.mark.parametrize(
    "layer", [VectorQuantizer({"x": 4}, 3), SimVQ(4, 3), LookupFree(3)], ids=["nearest", "sim", "lfq"]
)
def test_missing_items_do_not_thin_the_commitment_of_those_that_are_there(layer):
    x = np.random.default_rng(0).normal(size=(6, 5, 3)).astype("float32")
    present = np.array([True, False, True, False, False, True])
    name = next(iter(layer.ranges), None)
    some, alone = layer(x, range=name, present=present), layer(x[present], range=name)
    assert float(some.commitment_loss) == pytest.approx(float(alone.commitment_loss), rel=1e-5)
    assert float(some.codebook_loss) == pytest.approx(float(alone.codebook_loss), rel=1e-5)
