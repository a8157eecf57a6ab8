"""Grouped and multi-head quantization: each stretch of a latent has a code of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqmm.quantizers.base import Assignment, Cluster, Quantized, Quantizer, count_codes


@keras.saving.register_keras_serializable("vqmm")
class GroupedQuantizer(Quantizer):
    """Cuts latents into equal stretches and quantizes each (product quantization, Jégou et al. 2011).

    Args:
        parts: a quantizer for each stretch, each with one code a token; codes of group g
            count from the sum of the sizes before it. Or one quantizer, with `heads`.
        heads: number of stretches that share the one quantizer (multi-head); None is one
            stretch for each of `parts`.

    Raises:
        ValueError: heads with more than one quantizer, parts that differ in dim or distance, or more
            codes together than an int32 can count.
    """

    def __init__(self, parts: Sequence[Quantizer], heads: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        parts = list(parts)
        shapes = {(part.dim, part.distance) for part in parts}
        if len(shapes) != 1:
            raise ValueError(f"parts with (dim, distance) {sorted(shapes)}: give at least one, all alike")
        if heads is not None and (heads < 1 or len(parts) != 1):
            raise ValueError(f"heads={heads} with {len(parts)} quantizers: heads share exactly one")
        if any(part.codes_per_token != 1 for part in parts):
            raise ValueError("a stretch has one code; group inside a ResidualQuantizer is not supported")
        if self.estimator != "straight_through":
            raise ValueError("set the estimator on the parts: each stretch is estimated by itself")
        self.parts = parts
        self.heads = heads
        count = heads or len(parts)
        self.dim = count * parts[0].dim
        self.distance = parts[0].distance
        self.codes_per_token = count
        self.num_codes = count_codes(part.num_codes for part in parts)
        self._of_group = parts * heads if heads else parts
        starts = np.cumsum([0, *(part.num_codes for part in parts[:-1])]).tolist()
        self._starts = starts * heads if heads else starts
        self.built = True

    @property
    def code_settings(self) -> dict[str, Any]:
        return {**super().code_settings, "groups": self.codes_per_token}

    def receive(self, latents: Any, range: str | None = None) -> Any:
        stretches = self._stretches(super().receive(latents))
        parts = [part.receive(x) for part, x in zip(self._of_group, stretches, strict=True)]
        return ops.concatenate(parts, axis=-1)

    def embed(self, latents: Any, range: str | None = None) -> Any:
        """Each stretch in the space where its part looks codes up: f32[..., groups * E]."""
        parts = zip(self._of_group, self._stretches(latents), strict=True)
        return ops.concatenate([part.embed(x) for part, x in parts], axis=-1)

    def choose(self, latents: Any, range: str | None, present: Any) -> Quantized:
        raise NotImplementedError("stretches are quantized one by one; use call")

    def nearest(self, latents: Any, range: str | None = None) -> Any:
        return self.call(latents, range).codes

    def call(self, latents: Any, range: str | None = None, present: Any = None) -> Quantized:
        self.range_of(range)
        stretches = self._stretches(super().receive(latents))
        outs = [part(x, present=present) for part, x in zip(self._of_group, stretches, strict=True)]
        codes = [start + out.codes for start, out in zip(self._starts, outs, strict=True)]
        return Quantized(  # each part has weighted its losses by its own `started`
            ops.concatenate([out.values for out in outs], axis=-1),
            ops.stack(codes, axis=-1),
            *(
                sum(getattr(out, name) for out in outs) / len(outs)
                for name in ("commitment_loss", "codebook_loss", "entropy_loss")
            ),
        )

    def codes_to_values(self, codes: Any, range: str | None = None) -> Any:
        values = [
            part.codes_to_values(codes[..., place] - start)
            for place, (start, part) in enumerate(zip(self._starts, self._of_group, strict=True))
        ]
        return ops.concatenate(values, axis=-1)

    def similarities(self, latents: Any, range: str | None = None) -> Any:
        """Those of each stretch with the codes of its part: f32[..., groups, codes of a part].

        Raises:
            ValueError: where the parts differ in their number of codes.
        """
        self.range_of(range)
        sizes = {part.num_codes for part in self.parts}
        if len(sizes) != 1:
            raise ValueError(f"parts of {sorted(sizes)} codes have no common table; give all the same number")
        stretches = self._stretches(latents)
        found = [part.similarities(x) for part, x in zip(self._of_group, stretches, strict=True)]
        return ops.stack(found, axis=-2)

    def table(self, range: str | None = None) -> Any:
        """Code vectors f32[codes, dim of a stretch]."""
        self.range_of(range)
        return ops.concatenate([part.table() for part in self.parts])

    def update(self, assignments: Sequence[Assignment]) -> None:
        by_part: dict[int, list[Assignment]] = {}
        for a in assignments:
            stretches = self._stretches(a.latents)
            for place, x in enumerate(stretches):
                part = self.parts.index(self._of_group[place])
                mine = a._replace(latents=x, codes=a.codes[..., place] - self._starts[place], range=None)
                by_part.setdefault(part, []).append(mine)
        for place, gathered in by_part.items():
            self.parts[place].update(gathered)

    def fit(self, latents: Any, range: str | None, cluster: Cluster) -> None:
        stretches = np.split(np.asarray(latents, "float32"), self.codes_per_token, axis=-1)
        for part in self.parts:
            mine = [x for x, own in zip(stretches, self._of_group, strict=True) if own is part]
            part.fit(np.concatenate(mine), None, cluster)

    def _stretches(self, latents: Any) -> Any:
        return ops.split(ops.convert_to_tensor(latents), self.codes_per_token, axis=-1)

    def get_config(self) -> dict[str, Any]:
        parts = [keras.saving.serialize_keras_object(part) for part in self.parts]
        return {**super().get_config(), "parts": parts, "heads": self.heads}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GroupedQuantizer:
        parts = [keras.saving.deserialize_keras_object(part) for part in config["parts"]]
        return cls(**{**config, "parts": parts})
