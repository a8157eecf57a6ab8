"""The number format of layers, as the config asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from vqmm.config import Train
from vqmm.models.dtype_policy import dtype_policy


def policy_name(mixed: bool | str) -> str:
    """The Keras dtype policy for this machine.

    bfloat16 needs no loss scaling; NVIDIA cards before compute capability 8.0 lack it.

    Args:
        mixed: `train.mixed_precision`: True for the format that the cards here have, or its name.
    """
    if not mixed:
        return "float32"
    if isinstance(mixed, str):
        return f"mixed_{mixed}"
    cards = tf.config.list_physical_devices("GPU")
    abilities = [tf.config.experimental.get_device_details(card).get("compute_capability") for card in cards]
    old = any(ability is not None and ability < (8, 0) for ability in abilities)
    return "mixed_float16" if old else "mixed_bfloat16"


@contextlib.contextmanager
def precision(train: Train) -> Iterator[str]:
    """Sets the dtype policy of layers that are built in the block; sets it back at the end.

    Yields:
        The name of the policy.
    """
    name = policy_name(train.mixed_precision)
    with dtype_policy(name):
        yield name
