"""Factorised lookup: codes are searched in a space of fewer dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqmm.quantizers.base import Assignment, Cluster, Quantized, Quantizer, masked_mse
from vqmm.quantizers.estimators import straight_through


@keras.saving.register_keras_serializable("vqmm")
class ProjectedQuantizer(Quantizer):
    """Projects latents into a quantizer's space and its values back (Yu et al. 2022, section 3.2).

    A codebook of few dimensions (8 to 32) is used more evenly, and is cheaper to search;
    FSQ and lookup-free quantizers need as many dimensions as they have axes.

    Both projections are trained at every step. The codebook loss is the squared difference of the
    projected values and the latents, scaled to a length of 1 where they are longer. It leaves the
    latents alone, so the projections learn even where no loss reads the values with a gradient.
    Before `start` the values are `project_out(project_in(latents))` without codes: the codes are then
    placed in a space that has been trained.

    Args:
        inner: the quantizer, of the smaller dim.
        dim: of the latents.
        seed: of the projections.

    Raises:
        ValueError: a dim smaller than the inner one.
    """

    def __init__(self, inner: Quantizer, dim: int, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if dim < inner.dim:
            raise ValueError(
                f"dim={dim} below the {inner.dim} of {type(inner).__name__}: a projection cannot make room; "
                "take a larger dim, or a quantizer of fewer axes"
            )
        if self.estimator != "straight_through":
            raise ValueError("set the estimator on the inner quantizer, where latents meet codes")
        self.inner = inner
        self.dim = int(dim)
        self.seed = int(seed)
        self.num_codes = inner.num_codes
        self.codes_per_token = inner.codes_per_token
        self.distance = inner.distance
        self.ranges = inner.ranges
        self.project_in = keras.layers.Dense(
            inner.dim,
            kernel_initializer=keras.initializers.GlorotUniform(self.seed),
            dtype="float32",
            name="in",
        )
        self.project_out = keras.layers.Dense(
            self.dim,
            kernel_initializer=keras.initializers.GlorotUniform(self.seed + 1),
            dtype="float32",
            name="out",
        )
        self.project_in.build((None, self.dim))
        self.project_out.build((None, inner.dim))
        self.built = True

    @property
    def code_weights(self) -> list[Any]:
        return list(self.project_in.weights)

    @property
    def update_rules(self) -> dict[str, str]:
        return self.inner.update_rules

    def choose(self, latents: Any, range: str | None, present: Any) -> Quantized:
        out = self.inner(self.project_in(latents), range=range, present=present)
        fixed = ops.stop_gradient(latents)
        own = self.inner.receive(self.project_in(fixed), range)  # a path that ends at the projection
        rebuilt = self.project_out(straight_through(own, out.values))
        length = ops.sqrt(ops.sum(ops.square(fixed), axis=-1, keepdims=True))
        length = ops.maximum(length, 1.0)  # long latents must not outweigh all other losses
        return out._replace(
            values=self.project_out(out.values),
            codebook_loss=out.codebook_loss + masked_mse(rebuilt / length, fixed / length, present),
        )

    def finish(self, latents: Any, out: Quantized) -> Quantized:
        return out  # the inner quantizer has finished, and before `start` projections stay in use

    def embed(self, latents: Any, range: str | None = None) -> Any:
        return self.inner.embed(self.project_in(ops.cast(latents, "float32")), range)

    def similarities(self, latents: Any, range: str | None = None) -> Any:
        return self.inner.similarities(self.project_in(ops.cast(latents, "float32")), range)

    def table(self, range: str | None = None) -> Any:
        return self.inner.table(range)

    def codes_to_values(self, codes: Any, range: str | None = None) -> Any:
        return self.project_out(self.inner.codes_to_values(codes, range))

    def update(self, assignments: Sequence[Assignment]) -> None:
        self.inner.update([a._replace(latents=self.project_in(a.latents)) for a in assignments])

    def fit(self, latents: Any, range: str | None, cluster: Cluster) -> None:
        self.inner.fit(np.asarray(self.project_in(np.asarray(latents, "float32"))), range, cluster)

    def get_config(self) -> dict[str, Any]:
        inner = keras.saving.serialize_keras_object(self.inner)
        return {**super().get_config(), "inner": inner, "dim": self.dim, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ProjectedQuantizer:
        return cls(**{**config, "inner": keras.saving.deserialize_keras_object(config["inner"])})
