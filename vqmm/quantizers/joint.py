"""One vocabulary from quantizers of different kinds: a range of codes for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqmm.quantizers.base import Assignment, Cluster, Quantized, Quantizer, count_codes


@keras.saving.register_keras_serializable("vqmm")
class JointQuantizer(Quantizer):
    """`[shared | image | audio | ...]`, each range with a quantizer of its own kind.

    `VectorQuantizer` holds ranges of one kind in one table; this one lets shared codes be
    a uniform grid and private ones residual, or any other mixture. The codes of a token
    that has several lie beside each other: i32[B, T * L], in place of i32[B, T, L], so that
    all that reads codes sees tokens.

    Args:
        parts: quantizers by range, of the same dim (see `ProjectedQuantizer`), in the order of
            their codes.

    Inputs: latents f32[B, T, dim]; range, which must be given; present bool[B].

    Raises:
        ValueError: no parts, of other dims, or of more codes together than an int32 can count; at a
            call or an update without a range.
    """

    def __init__(self, parts: Mapping[str, Quantizer], **kwargs: Any):
        super().__init__(**kwargs)
        dims = {name: part.dim for name, part in parts.items()}
        if len(set(dims.values())) != 1:
            raise ValueError(
                f"parts of dims {dims}: give at least one, all of the same dim; wrap the others "
                "in a ProjectedQuantizer"
            )
        if self.estimator != "straight_through":
            raise ValueError("set the estimator on the parts, where latents meet codes")
        self.parts = dict(parts)
        self.dim = next(iter(dims.values()))
        sizes = [part.num_codes for part in self.parts.values()]
        self.num_codes = count_codes(sizes)
        ends = np.cumsum(sizes).tolist()
        self.ranges = {
            name: (end - size, end) for name, size, end in zip(self.parts, sizes, ends, strict=True)
        }
        first = next(iter(self.parts.values()))
        self.distance = first.distance
        self.built = True

    @property
    def code_settings(self) -> dict[str, Any]:
        return {**super().code_settings, "ranges": self.ranges}

    @property
    def update_rules(self) -> dict[str, str]:
        return {name: _rule(part) for name, part in self.parts.items()}

    def part(self, range: str | None) -> Quantizer:
        """The quantizer of a range."""
        if range is None:
            raise ValueError(
                f"name a range: this quantizer has {', '.join(self.ranges)}, each of its own kind"
            )
        self.range_of(range)
        return self.parts[range]

    def receive(self, latents: Any, range: str | None = None) -> Any:
        return self.part(range).receive(latents)

    def call(self, latents: Any, range: str | None = None, present: Any = None) -> Quantized:
        out = self.part(range)(latents, present=present)
        return out._replace(codes=self._outside(out.codes, range))

    def nearest(self, latents: Any, range: str | None = None) -> Any:
        return self._outside(self.part(range).nearest(latents), range)

    def embed(self, latents: Any, range: str | None = None) -> Any:
        return self.part(range).embed(latents)

    def similarities(self, latents: Any, range: str | None = None) -> Any:
        return self.part(range).similarities(latents)

    def table(self, range: str | None = None) -> Any:
        return self.part(range).table()

    def codes_to_values(self, codes: Any, range: str | None = None) -> Any:
        return self.part(range).codes_to_values(self._inside(codes, range))

    def update(self, assignments: Sequence[Assignment]) -> None:
        for a in assignments:
            self.part(a.range)  # refuses what is in no range: it would be left out
        for name, part in self.parts.items():
            mine = [
                a._replace(codes=self._inside(a.codes, name), range=None)
                for a in assignments
                if a.range == name
            ]
            if mine:
                part.update(mine)

    def fit(self, latents: Any, range: str | None, cluster: Cluster) -> None:
        self.part(range).fit(latents, None, cluster)

    def get_config(self) -> dict[str, Any]:
        parts = {name: keras.saving.serialize_keras_object(part) for name, part in self.parts.items()}
        return {**super().get_config(), "parts": parts}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> JointQuantizer:
        parts = {n: keras.saving.deserialize_keras_object(part) for n, part in config["parts"].items()}
        return cls(**{**config, "parts": parts})

    def _outside(self, codes: Any, range: str | None) -> Any:
        start, _ = self.range_of(range)
        if self.part(range).codes_per_token > 1:
            codes = ops.reshape(codes, (*ops.shape(codes)[:-2], -1))
        return ops.where(codes >= 0, start + codes, -1)

    def _inside(self, codes: Any, range: str | None) -> Any:
        start, _ = self.range_of(range)
        each = self.part(range).codes_per_token
        codes = ops.where(codes >= 0, codes - start, -1)
        return ops.reshape(codes, (*ops.shape(codes)[:-1], -1, each)) if each > 1 else codes


def _rule(part: Quantizer) -> str:
    rules = set(part.update_rules.values())
    return rules.pop() if len(rules) == 1 else "gradient" if part.trainable_variables else "fixed"
