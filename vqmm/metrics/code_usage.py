"""Code statistics as a Keras metric."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("vqmm")
class CodeUsage(keras.metrics.Metric):
    """Counts codes over batches; tells usage, perplexity and entropy / log2 K.

    Args:
        num_codes: K, codes in the range that is watched.
        start: first code of the range; codes outside of it are not counted.

    `update_state(codes, sample_weight)` takes codes i32[B, ...] and, where modalities
    may be missing, bool[B]. `result()` is a dict of f32 scalars: `usage` (share of
    the codes used so far), `perplexity` (2 to the entropy), `entropy_ratio` (0..1; 1
    where there is one code). The counts are integers, so that they stay exact however
    many there are.
    """

    def __init__(self, num_codes: int, start: int = 0, name: str = "code_usage", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        if num_codes < 1 or start < 0:
            raise ValueError(f"num_codes={num_codes}, start={start}: need at least one code, from 0 on")
        self.num_codes = num_codes
        self.start = start
        self.counts = self.add_variable(
            shape=(num_codes,), initializer="zeros", dtype="int64", aggregation="sum", name="counts"
        )

    def update_state(self, codes: Any, sample_weight: Any = None) -> None:
        local = ops.cast(codes, "int32") - self.start
        counted = ops.logical_and(local >= 0, local < self.num_codes)
        if sample_weight is not None:
            present = ops.reshape(ops.cast(sample_weight, "bool"), (-1, *([1] * (len(local.shape) - 1))))
            counted = ops.logical_and(counted, present)
        hits = ops.reshape(ops.cast(counted, "int64"), (-1,))
        rows = ops.reshape(ops.where(counted, local, 0), (-1,))
        self.counts.assign_add(ops.segment_sum(hits, rows, self.num_codes))

    def result(self) -> dict[str, Any]:
        counts = ops.cast(self.counts, "float32")
        shares = counts / ops.maximum(ops.sum(counts), 1.0)
        bits = -ops.sum(shares * ops.log2(ops.where(shares > 0, shares, ops.ones_like(shares))))
        return {
            "usage": ops.mean(ops.cast(counts > 0, "float32")),
            "perplexity": ops.power(2.0, bits),
            "entropy_ratio": bits / np.log2(self.num_codes) if self.num_codes > 1 else ops.ones(()),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_codes": self.num_codes, "start": self.start}
