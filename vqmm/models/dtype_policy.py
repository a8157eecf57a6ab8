"""The dtype policy that a saved model was trained and validated with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def dtype_policy(name: str | None) -> Iterator[None]:
    """Sets the dtype policy of layers that are built in the block, and sets it back at the end.

    A model's configuration states the policy, and `from_config` builds the model within it. Layers
    that the model's own layers build would otherwise take the policy of the process that loads them.

    Args:
        name: as `"mixed_bfloat16"`; None, as in files of versions that did not state it, leaves the
            policy of the process.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name or before)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
