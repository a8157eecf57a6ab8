"""Residual quantization: each level codes what the levels before it left over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqmm.quantizers.base import Assignment, Cluster, Quantized, Quantizer, count_codes
from vqmm.quantizers.fsq import FSQ
from vqmm.quantizers.lookup_free import LookupFree


@keras.saving.register_keras_serializable("vqmm")
class ResidualQuantizer(Quantizer):
    """Sum of several quantizers (Zeghidour et al. 2021, algorithm 1).

    Each level receives the residual with the values before it detached: else the
    commitment losses of later levels cancel in the gradient of earlier ones.

    Args:
        parts: the levels, each a quantizer of the same dim that holds no other (a projection goes
            around the residual). Codes of level l count from the sum of the sizes before it.
        dropout: share of calls in training that keep only the first levels, their number
            drawn evenly from 1 to all (section III-C); the codes of the others are -1.
        seed: of that draw.

    Raises:
        ValueError: fewer than one level, other dims, a level that cannot shrink a residual or holds
            other quantizers, or more codes together than an int32 can count.
    """

    def __init__(self, parts: Sequence[Quantizer], dropout: float = 0.0, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        parts = list(parts)
        dims = [part.dim for part in parts]
        if not parts or len(set(dims)) != 1:
            raise ValueError(f"parts of dim {dims}: give at least one level, all of the same dim")
        for place, part in enumerate(parts):
            # Values of a level come without gradient, and nothing around a quantizer would learn.
            if any(isinstance(layer, Quantizer) and layer is not part for layer in part._flatten_layers()):
                raise ValueError(
                    f"level {place} is {type(part).__name__}, which holds other quantizers; give the levels "
                    "themselves, and project around them: ProjectedQuantizer(ResidualQuantizer([...]), dim)"
                )
        if self.estimator == "rotation" or any(part.estimator == "rotation" for part in parts):
            raise ValueError(
                "estimator='rotation' turns one latent to one value, a residual sums several; "
                "take 'straight_through'"
            )
        for place, part in enumerate(parts):
            if len(parts) > 1 and (part.distance == "cosine" or isinstance(part, (FSQ, LookupFree))):
                raise ValueError(
                    f"level {place} is {type(part).__name__} with distance={part.distance!r}: its values "
                    "have the same size at each level, so residuals do not shrink; take a Euclidean codebook"
                )
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"dropout={dropout!r}; legal: 0 to 1")
        self.parts = parts
        self.dropout = float(dropout)
        self.seed = int(seed)
        self.random = keras.random.SeedGenerator(self.seed)
        self.dim = dims[0]
        self.codes_per_token = len(parts)
        self.num_codes = count_codes(part.num_codes for part in parts)
        self._starts = np.cumsum([0, *(part.num_codes for part in parts[:-1])]).tolist()
        self.built = True

    def choose(self, latents: Any, range: str | None, present: Any, kept: Any = None) -> Quantized:
        self.range_of(range)
        rest = latents
        values, codes, losses = ops.zeros_like(latents), [], []
        for place, (start, part) in enumerate(zip(self._starts, self.parts, strict=True)):
            out = part.choose(part.receive(rest), None, present)
            on = ops.ones(()) if kept is None else ops.cast(kept > place, "float32")
            values = values + on * out.values
            rest = rest - ops.stop_gradient(out.values)
            row = start + out.codes
            codes.append(row if kept is None else ops.where(kept > place, row, -1))
            losses.append([on * x for x in (out.commitment_loss, out.codebook_loss, out.entropy_loss)])
        return Quantized(
            values, ops.stack(codes, axis=-1), *(sum(terms) for terms in zip(*losses, strict=True))
        )

    def call(
        self, latents: Any, range: str | None = None, present: Any = None, training: bool | None = None
    ) -> Quantized:
        if not (training and self.dropout):
            return super().call(latents, range, present)
        levels = len(self.parts)
        draw = keras.random.uniform((2,), seed=self.random)
        fewer = 1 + ops.cast(ops.floor(draw[1] * levels), "int32")
        kept = ops.where(draw[0] < self.dropout, ops.minimum(fewer, levels), levels)
        latents = self.receive(latents, range)
        return self.finish(latents, self.choose(latents, range, present, kept))

    def codes_to_values(self, codes: Any, range: str | None = None) -> Any:
        total = 0.0
        for place, (start, part) in enumerate(zip(self._starts, self.parts, strict=True)):
            level = codes[..., place]
            here = ops.cast(level >= 0, "float32")[..., None]
            total = total + here * part.codes_to_values(ops.maximum(level - start, 0))
        return total

    def embed(self, latents: Any, range: str | None = None) -> Any:
        return self.parts[0].embed(latents)

    def similarities(self, latents: Any, range: str | None = None) -> Any:
        """Those of the first level, which says most: f32[..., codes of that level]."""
        self.range_of(range)
        return self.parts[0].similarities(latents)

    def table(self, range: str | None = None) -> Any:
        self.range_of(range)
        return ops.concatenate([part.table() for part in self.parts])

    def update(self, assignments: Sequence[Assignment]) -> None:
        rests = [self.receive(a.latents) for a in assignments]
        for place, (start, part) in enumerate(zip(self._starts, self.parts, strict=True)):
            level = [
                a._replace(latents=rest, codes=a.codes[..., place] - start, range=None)
                for a, rest in zip(assignments, rests, strict=True)
            ]
            taken = [part.codes_to_values(ops.maximum(a.codes, 0)) for a in level]
            part.update(level)
            rests = [rest - ops.stop_gradient(value) for rest, value in zip(rests, taken, strict=True)]

    def fit(self, latents: Any, range: str | None, cluster: Cluster) -> None:
        rest = np.asarray(latents, "float32")
        for part in self.parts:
            part.fit(rest, None, cluster)
            rest = rest - np.asarray(part.codes_to_values(part.nearest(rest)))

    def get_config(self) -> dict[str, Any]:
        parts = [keras.saving.serialize_keras_object(part) for part in self.parts]
        return {**super().get_config(), "parts": parts, "dropout": self.dropout, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ResidualQuantizer:
        parts = [keras.saving.deserialize_keras_object(part) for part in config["parts"]]
        return cls(**{**config, "parts": parts})
