"""How two modalities share a range of codes, as a Keras metric."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("vqmm")
class CodeSharing(keras.metrics.Metric):
    """Counts the codes of both sides of pairs over batches; tells how they divide the range.

    Args:
        num_codes: K, codes in the range that is watched.
        start: first code of the range.

    `update_state(audio_codes, image_codes, sample_weight)` takes codes i32[B, ...] that
    correspond place by place and, where modalities may be missing, bool[B]. `result()`
    is a dict of f32 scalars: `agreement` (share of places with equal codes, of those
    where both sides' codes lie in the range), `overlap`
    (codes that both use over codes that either uses, Jaccard), `exclusive` (codes that
    one side alone uses over codes in use, 1 - overlap), `js_divergence` (of the two
    histograms, 0..1 bits).
    """

    def __init__(self, num_codes: int, start: int = 0, name: str = "code_sharing", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        if num_codes < 1 or start < 0:
            raise ValueError(f"num_codes={num_codes}, start={start}: need at least one code, from 0 on")
        self.num_codes = num_codes
        self.start = start
        self.counts = self.add_variable(
            shape=(2, num_codes), initializer="zeros", dtype="int64", aggregation="sum", name="counts"
        )
        self.equal = self.add_variable(
            shape=(2,), initializer="zeros", dtype="int64", aggregation="sum", name="equal"
        )

    def update_state(self, audio_codes: Any, image_codes: Any, sample_weight: Any = None) -> None:
        sides = [ops.cast(c, "int32") - self.start for c in (audio_codes, image_codes)]
        sides = [ops.reshape(c, (ops.shape(c)[0], -1)) for c in sides]
        if sample_weight is None:
            present = ops.ones_like(sides[0], dtype="bool")
        else:
            present = ops.broadcast_to(ops.cast(sample_weight, "bool")[:, None], ops.shape(sides[0]))
        hits, both = [], present
        for local in sides:
            inside = ops.logical_and(present, ops.logical_and(local >= 0, local < self.num_codes))
            both = ops.logical_and(both, inside)
            rows = ops.reshape(ops.where(inside, local, 0), (-1,))
            hits.append(ops.segment_sum(ops.reshape(ops.cast(inside, "int64"), (-1,)), rows, self.num_codes))
        same = ops.logical_and(both, sides[0] == sides[1])
        self.counts.assign_add(ops.stack(hits))
        self.equal.assign_add(ops.stack([ops.sum(ops.cast(x, "int64")) for x in (same, both)]))

    def result(self) -> dict[str, Any]:
        counts = ops.cast(self.counts, "float32")
        shares = counts / ops.maximum(ops.sum(counts, axis=1, keepdims=True), 1.0)
        used = counts > 0
        both = ops.sum(ops.cast(ops.logical_and(used[0], used[1]), "float32"))
        either = ops.sum(ops.cast(ops.logical_or(used[0], used[1]), "float32"))
        overlap = both / ops.maximum(either, 1.0)
        mean = ops.mean(shares, axis=0)
        divergence = _bits(mean) - 0.5 * (_bits(shares[0]) + _bits(shares[1]))
        equal = ops.cast(self.equal, "float32")
        return {
            "agreement": equal[0] / ops.maximum(equal[1], 1.0),
            "overlap": overlap,
            "exclusive": ops.where(either > 0, 1.0 - overlap, 0.0),
            "js_divergence": ops.maximum(divergence, 0.0),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_codes": self.num_codes, "start": self.start}


def _bits(shares: Any) -> Any:
    return -ops.sum(shares * ops.log2(ops.where(shares > 0, shares, ops.ones_like(shares))))
