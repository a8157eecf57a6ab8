"""What every quantizer returns and takes, and what models may ask of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from vqmm.config import Quantizer as Spec
from vqmm.errors import nearest
from vqmm.quantizers.estimators import ESTIMATORS, estimate
from vqmm.quantizers.products import exact_matmul
from vqmm.replicas import replica_count, sum_over_replicas

DEFAULTS = Spec()

Cluster = Callable[[np.ndarray, int], np.ndarray]
"""From tokens f32[n, E] and a number k to at most k centres f32[<=k, E], as k-means does it."""

MOST_CODES = 2**31 - 1  # codes are int32


class Quantized(NamedTuple):
    """Latents turned into codes.

    Attributes:
        values: f32[..., D], what the codes stand for; gradients reach the latents.
        codes: i32[...], or i32[..., L] where a token has L codes; -1 where a level was
            dropped.
        commitment_loss: f32 scalar, weight included; pulls latents to their codes.
        codebook_loss: f32 scalar; pulls codes, and the projections around them, to their
            latents (0 where the codebook follows a moving average or is fixed).
        entropy_loss: f32 scalar, weight included; sure choices, even use (0 but for
            lookup-free quantizers).
    """

    values: Any
    codes: Any
    commitment_loss: Any
    codebook_loss: Any
    entropy_loss: Any


class Assignment(NamedTuple):
    """Tokens of one modality and the codes they chose, for the joint codebook update.

    Attributes:
        latents: f32[..., D] as they went into the quantizer.
        codes: i32[...] or i32[..., L], as the quantizer gave them.
        mask: bool[B], False where the modality is missing; or None.
        range: the range that they were searched in.
    """

    latents: Any
    codes: Any
    mask: Any
    range: str | None = None


class Quantizer(keras.layers.Layer):
    """Base of all quantizers: one vocabulary of codes, whole or in named ranges.

    A call changes no state. The model collects each modality's `Assignment` and calls
    `update` once a step, so that the order of modalities cannot matter. Everything is
    computed in float32, whatever the dtype policy. Any number of leading axes will do.

    A subclass sets `dim` (of a latent), `num_codes` and, where a token has more than
    one code, `codes_per_token`; it gives `choose`, `codes_to_values`, and `table`
    with the `embed` that belongs to it.

    Args:
        estimator: how gradients reach the latents, see `estimators`.

    Inputs: latents f32[..., dim]; range, a name in `ranges`, None is all; present bool[B],
    False where the first axis has nothing (it then adds nothing to the losses).
    Output: `Quantized`.
    """

    dim: int
    num_codes: int
    codes_per_token: int = 1
    distance: str = "euclidean"

    def __init__(self, estimator: str = DEFAULTS.estimator, **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator={estimator!r}; legal: {', '.join(ESTIMATORS)}")
        self.estimator = estimator
        self.ranges: dict[str, tuple[int, int]] = {}
        # 0: latents pass unquantized, until the codes have been placed among them.
        self.started = self.add_weight(
            name="started",
            shape=(),
            initializer="ones",
            trainable=False,
            dtype="float32",
            aggregation="only_first_replica",
        )

    @property
    def code_settings(self) -> dict[str, Any]:
        """Settings of this part alone that decide which code a latent gets, as plain JSON."""
        return {"codes": self.num_codes, "dim": self.dim, "distance": self.distance}

    @property
    def code_weights(self) -> list[Any]:
        """Weights of this part alone that decide which code a latent gets."""
        return []

    @property
    def update_rules(self) -> dict[str, str]:
        """How the codes of each range move: `"ema"`, `"gradient"` or `"fixed"`."""
        return dict.fromkeys(self.ranges, "fixed")

    @property
    def has_codebook_loss(self) -> bool:
        """Returns whether any part has a codebook loss: codes or projections that gradients move."""
        return bool(self.trainable_variables)

    @property
    def has_entropy_loss(self) -> bool:
        """Whether any part has an entropy loss."""
        return any(getattr(part, "entropy", 0.0) for part in self._flatten_layers())

    def start(self, on: bool = True) -> None:
        """Switches quantization on or off, in all parts; off, latents pass without codes."""
        for part in self._flatten_layers():
            if isinstance(part, Quantizer):
                part.started.assign(float(on))

    def part(self, range: str | None) -> Quantizer:
        """The quantizer that a range's codes come from; here this one."""
        self.range_of(range)
        return self

    def range_of(self, name: str | None) -> tuple[int, int]:
        """First code of a range and the code after its last; None is the whole vocabulary."""
        if name is None:
            return 0, self.num_codes
        if name not in self.ranges:
            legal = ", ".join(self.ranges) or "one range without a name"
            raise ValueError(f"range {name!r}{nearest(name, self.ranges)}; this codebook has {legal}")
        return self.ranges[name]

    def receive(self, latents: Any, range: str | None = None) -> Any:
        """Latents in the space of the values, checked: f32[..., dim].

        Before `start` these are the values; where the distance is cosine, they have unit length.

        Raises:
            ValueError: where the last axis is not `dim`.
        """
        if latents.shape[-1] != self.dim:
            raise ValueError(f"latents of shape {latents.shape}: the last axis must be dim={self.dim}")
        return ops.cast(latents, "float32")

    def choose(self, latents: Any, range: str | None, present: Any) -> Quantized:
        """`Quantized` of latents from `receive`; values are those of the codes, without gradient."""
        raise NotImplementedError

    def codes_to_values(self, codes: Any, range: str | None = None) -> Any:
        """Values f32[..., dim] of codes i32[...], or i32[..., L] with L codes a token."""
        raise NotImplementedError

    def table(self, range: str | None = None) -> Any:
        """Code vectors of a range, f32[codes, E], in the space of `embed`."""
        raise NotImplementedError

    def embed(self, latents: Any, range: str | None = None) -> Any:
        """Latents f32[..., dim] in the space where codes are looked up: f32[..., E]."""
        return ops.cast(latents, "float32")

    def similarities(self, latents: Any, range: str | None = None) -> Any:
        """Cosine, or minus half the squared distance plus a term that all codes share.

        Args:
            latents: f32[..., dim].
            range: name of the range; None is the whole vocabulary.

        Returns:
            f32[..., codes]; the largest is the nearest code.
        """
        table = self.table(range)
        products = exact_matmul(self.embed(latents, range), ops.transpose(table))
        if self.distance == "cosine":
            return products
        return products - 0.5 * ops.sum(ops.square(table), axis=-1)

    def nearest(self, latents: Any, range: str | None = None) -> Any:
        """Codes of latents f32[..., dim]: i32[...], or i32[..., L] with L codes a token."""
        return self.choose(self.receive(latents, range), range, None).codes

    def call(self, latents: Any, range: str | None = None, present: Any = None) -> Quantized:
        latents = self.receive(latents, range)
        return self.finish(latents, self.choose(latents, range, present))

    def finish(self, latents: Any, out: Quantized) -> Quantized:
        """Gives the values of `choose` their gradient, and switches all off before `start`."""
        started = ops.convert_to_tensor(self.started)
        values = estimate(self.estimator, latents, out.values)
        return Quantized(
            latents + started * (values - latents),
            out.codes,
            *(started * loss for loss in (out.commitment_loss, out.codebook_loss, out.entropy_loss)),
        )

    def update(self, assignments: Sequence[Assignment]) -> None:
        """Moves the codes, once a step, from all modalities jointly. Here: not at all."""

    def fit(self, latents: Any, range: str | None, cluster: Cluster) -> None:
        """Places the codes among latents, where quantization begins. Here: they stay.

        Args:
            latents: f32[n, dim], as they come from the encoder.
            range: whose codes; None is all.
            cluster: finds the places.
        """

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "estimator": self.estimator}


def count_codes(sizes: Iterable[int]) -> int:
    """Codes of all parts together.

    Raises:
        ValueError: more than an int32 can count.
    """
    sizes = list(sizes)
    if sum(sizes) > MOST_CODES:
        raise ValueError(
            f"parts of {sizes} codes have {sum(sizes)} together; at most {MOST_CODES}, take fewer"
        )
    return sum(sizes)


def masked_mse(a: Any, b: Any, present: Any) -> Any:
    """Mean squared difference of f32[B, ...] over the rows that are present; 0 where there is none.

    This is the rule of `vqmm.losses.masked_mean`: over replicas each row weighs alike, however
    those that are present are spread, so that the mean over replicas is that of the whole batch.

    Args:
        a, b: f32[B, ...], of one shape.
        present: bool[B], False where a row does not count; None counts all.

    Returns:
        f32 scalar.
    """
    squares = ops.square(a - b)
    size = ops.cast(ops.size(squares), "float32")
    if present is None:
        return ops.sum(squares) / ops.maximum(size, 1.0)
    rows = ops.maximum(ops.cast(ops.shape(squares)[0], "float32"), 1.0)
    (count,) = sum_over_replicas([ops.sum(ops.cast(present, "float32"))])
    total = ops.sum(squares * row_weights(present, squares)) * replica_count()
    return total / ops.maximum(count * (size / rows), 1.0)


def row_weights(present: Any, like: Any) -> Any:
    """bool[B] as f32[B, 1, ...], with as many axes as `like`."""
    return ops.reshape(ops.cast(present, "float32"), (-1, *([1] * (len(like.shape) - 1))))
