"""Teaches a small feature network on the data at hand, with labels or without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from vqmm.data.batches import fixed_order
from vqmm.errors import UserError
from vqmm.networks import FeatureNet
from vqmm.networks.blocks import pool_to
from vqmm.phase_progress import PhaseProgress

BATCH = 64
TURNS = 4
FEWEST = 10  # pictures to teach on: a tenth of them is kept for the test
MOST_BYTES = 2**27  # of pictures, before they are turned and copied: teaching takes some 2 GiB with them


class Taught(NamedTuple):
    """A feature network that knows its classes.

    Attributes:
        net: the feature maps.
        classifier: from items f32[B, H, W, C] to probabilities f32[B, classes].
        embedder: to the features f32[B, F] that the last layer reads.
        accuracy: on items that it was not taught on, 0..1.
    """

    net: FeatureNet
    classifier: keras.Model
    embedder: keras.Model
    accuracy: float


def teach(
    net: FeatureNet,
    items: np.ndarray,
    classes: np.ndarray,
    test_items: np.ndarray,
    test_classes: np.ndarray,
    steps: int = 400,
    seed: int = 0,
    shift: int = 2,
) -> Taught:
    """Teaches `net` to tell classes, by cross-entropy.

    Args:
        net: changed; its variables may have been frozen, and are in the end.
        items: f32[n, H, W, C].
        classes: i[n], 0 to the number of classes less one.
        test_items, test_classes: what its accuracy is measured on.
        steps: of 64 items.
        seed: of the head's weights and of the order.
        shift: cells by which items are moved about, either way.
    """
    count = int(classes.max()) + 1
    keras.utils.set_random_seed(seed)
    item = keras.Input(items.shape[1:])
    last = net(item)[-1]
    pooled = keras.layers.Flatten()(pool_to(last, (4, 4)))
    features = keras.layers.Dense(64, activation="relu")(pooled)
    shown = keras.layers.Dropout(0.2, seed=seed)(features)
    classifier = keras.Model(item, keras.layers.Dense(count, activation="softmax")(shown))
    _set_trainable(net, True)
    classifier.compile(keras.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy")
    rows = np.concatenate(
        [
            np.random.default_rng([seed, turn]).permutation(len(items))
            for turn in range(1 + steps * BATCH // len(items))
        ]
    )
    batches = tf.data.Dataset.from_tensor_slices(rows[: steps * BATCH]).batch(BATCH)
    held = tf.constant(items), tf.constant(classes.astype("int32"))
    draws = tf.random.Generator.from_seed(seed)

    def pick(place: Any) -> tuple[Any, Any]:
        moved = tf.roll(tf.gather(held[0], place), draws.uniform((2,), -shift, shift + 1, tf.int32), (1, 2))
        return moved, tf.gather(held[1], place)

    with PhaseProgress("training a feature network", "steps", steps) as progress:
        step = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: progress.advance())
        given = batches.map(pick).with_options(fixed_order())
        classifier.fit(given, verbose=0, shuffle=False, callbacks=[step])
    _set_trainable(net, False)
    guessed = in_batches(classifier, test_items).argmax(axis=1)
    return Taught(net, classifier, keras.Model(item, features), float((guessed == test_classes).mean()))


def _set_trainable(net: FeatureNet, trainable: bool) -> None:
    net.trainable = trainable
    # Variable by variable, as VQGAN freezes its perceiver: the flag of a layer does not thaw them.
    for variable in net.variables:
        variable.trainable = trainable


def in_batches(model: keras.Model, items: np.ndarray, size: int = 256) -> np.ndarray:
    """What a model says of many items, f32[n, ...]; `predict` traces anew for every model and size."""
    parts = [model(items[start : start + size], training=False) for start in range(0, len(items), size)]
    return np.concatenate([np.asarray(part) for part in parts])


def teach_turns(net: FeatureNet, pictures: Iterable[np.ndarray], steps: int = 400, seed: int = 0) -> Taught:
    """Teaches `net` without labels: which way up is a picture? (Gidaris et al. 2018.)

    Args:
        net: changed.
        pictures: batches f32[B, H, W, C], two pictures or more; the last tenth of them all is kept
            for the test.
        steps, seed: as in `teach`.
    """
    upright = np.concatenate(list(pictures))
    kept = len(upright) - max(len(upright) // 10, 1)
    (items, turns), (test_items, test_turns) = _all_turns(upright[:kept]), _all_turns(upright[kept:])
    return teach(net, items, turns, test_items, test_turns, steps, seed)


def teach_perceiver(
    perceiver: FeatureNet, batches: Iterable[Mapping[str, Any]], held: int, steps: int = 400, seed: int = 0
) -> Taught:
    """Teaches a model's perceiver by `teach_turns`, before anything has changed it.

    Args:
        perceiver: changed; its variables may have a copy on each replica of a strategy.
        batches: of training, see `vqmm.data.batches`.
        held: pictures that the data has, of which the batches may show each more than once.
        steps, seed: as in `teach`.

    Raises:
        UserError: there are too few pictures.
    """
    pictures = pictures_of(batches)
    count = min(held, len(pictures))
    if count < FEWEST:
        raise UserError(
            f"loss.features=taught: {count} pictures to teach on, and {FEWEST} are needed; prepare data with "
            "more of them, or take loss.features=random"
        )
    # Keras fits no model whose variables have copies: another net learns in the perceiver's place.
    net = FeatureNet.from_config(perceiver.get_config())
    net.build((None, *pictures.shape[1:]))
    taught = teach_turns(net, [pictures], steps=steps, seed=seed)
    for variable, learned in zip(perceiver.variables, net.variables, strict=True):
        variable.assign(learned)
    return taught


def pictures_of(batches: Iterable[Mapping[str, Any]], most: int = MOST_BYTES) -> np.ndarray:
    """The pictures f32[n, H, W, C] that training batches have, up to `most` bytes of them."""
    found: list[np.ndarray] = []
    for batch in batches:
        pictures, there = batch["image"].numpy(), batch["image_mask"].numpy()
        room = most // pictures[0].nbytes - sum(map(len, found))
        found.append(pictures[there][:room])
        if len(found[-1]) == room:
            break
    return np.concatenate(found)


def _all_turns(upright: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pictures f32[TURNS * n, H, W, C] turned each way, and i[TURNS * n] which."""
    items = np.concatenate([_turned(upright, turn) for turn in range(TURNS)])
    return items, np.repeat(np.arange(TURNS), len(upright))


def _turned(pictures: np.ndarray, turn: int) -> np.ndarray:
    """By quarter turns; pictures that are not square are mirrored up, across, or both ways."""
    if pictures.shape[1] == pictures.shape[2]:
        return np.rot90(pictures, turn, (1, 2))
    return pictures[:, :: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]
