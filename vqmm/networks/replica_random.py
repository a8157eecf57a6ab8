"""Random numbers that differ from replica to replica: dropout, private drop and noise."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vqmm.replicas import replica_id

APART = 1_000_003  # between the seeds of two replicas: further than those of two layers ever are


class ReplicaSeedGenerator(keras.random.SeedGenerator):
    """A seed generator with a stream of its own on every replica.

    All replicas keep the same state, so that a checkpoint holds it once and a run may go on
    with another number of replicas. What they draw differs, because the index of the replica
    goes into the seed. The first replica, and so a single device, draws what
    `keras.random.SeedGenerator` with the same seed draws.

    Draws that decide for the whole batch, as the revival of codes, take the plain generator.
    """

    def next(self, ordered: bool = True) -> Any:
        seed = super().next(ordered)
        place = replica_id()
        if isinstance(place, int):  # one replica: its index is 0
            return seed
        return seed + ops.cast(ops.stack([APART * place, ops.zeros_like(place)]), seed.dtype)


# Its name is that of Keras's layer, because the name decides where a model file keeps the state.
@keras.saving.register_keras_serializable("vqmm")
class Dropout(keras.layers.Layer):
    """Dropout as `keras.layers.Dropout` does it, with other units left out on every replica.

    Args:
        rate: fraction of the units that are left out in training, 0 to 1.
        seed: of the draws.
    """

    def __init__(self, rate: float, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        if rate > 0:
            self.seed_generator = ReplicaSeedGenerator(seed)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training or not self.rate:
            return inputs
        return keras.random.dropout(inputs, self.rate, seed=self.seed_generator)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
