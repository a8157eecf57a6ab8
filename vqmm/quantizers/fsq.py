"""Finite scalar quantization: a uniform grid in place of a learned codebook."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqmm.quantizers.base import MOST_CODES, Quantized, Quantizer


@keras.saving.register_keras_serializable("vqmm")
class FSQ(Quantizer):
    """Rounds each bounded latent to one of a few levels (Mentzer et al. 2023, section 3).

    The codebook is the grid of all combinations; nothing is learned, and no loss or
    revival is needed. `Projected` gives latents of another size.

    Args:
        levels: number of levels of each axis, at least 2; their number is the size of
            a latent, their product the number of codes. The paper proposes (8, 6, 5)
            for 2^8 codes, (8, 5, 5, 5) for 2^10, (7, 5, 5, 5, 5) for 2^12.
        margin: by how much tanh reaches beyond the outermost level; keeps its gradient
            alive there.

    Raises:
        ValueError: levels below 2, or more codes than an int32 can count.
    """

    def __init__(self, levels: Sequence[int], margin: float = 1e-3, **kwargs: Any):
        super().__init__(**kwargs)
        levels = tuple(int(n) for n in levels)
        if not levels or min(levels) < 2:
            raise ValueError(f"levels={levels}: each axis needs at least 2 levels")
        if math.prod(levels) > MOST_CODES:
            raise ValueError(
                f"levels={levels}: {math.prod(levels)} codes; at most {MOST_CODES}, take fewer axes"
            )
        if self.estimator == "rotation":
            raise ValueError(
                "estimator='rotation' with FSQ: its rounding already lies next to the latent; "
                "take 'straight_through'"
            )
        self.levels = levels
        self.margin = float(margin)
        self.dim = len(levels)
        self.num_codes = math.prod(levels)
        sizes = np.array(levels)
        self._half = (sizes - 1) * (1.0 + self.margin) / 2.0
        self._offset = np.where(sizes % 2 == 0, 0.5, 0.0)
        self._shift = np.arctanh(self._offset / self._half)
        self._width = (sizes // 2).astype("float32")
        self._basis = np.concatenate([[1], np.cumprod(sizes[:-1])]).astype("int32")
        self.built = True

    @property
    def code_settings(self) -> dict[str, Any]:
        return {**super().code_settings, "levels": list(self.levels), "margin": self.margin}

    def bound(self, latents: Any) -> Any:
        """Latents f32[..., dim] squeezed into the span of the levels, which are whole numbers."""
        squeezed = ops.tanh(ops.cast(latents, "float32") + self._shift.astype("float32"))
        return squeezed * self._half.astype("float32") - self._offset.astype("float32")

    def receive(self, latents: Any, range: str | None = None) -> Any:
        return self.bound(super().receive(latents)) / self._width

    def embed(self, latents: Any, range: str | None = None) -> Any:
        return self.bound(latents) / self._width

    def choose(self, latents: Any, range: str | None, present: Any) -> Quantized:
        self.range_of(range)
        whole = ops.round(ops.stop_gradient(latents) * self._width)
        places = ops.cast(whole + self._width, "int32")
        none = ops.zeros(())
        return Quantized(whole / self._width, ops.sum(places * self._basis, axis=-1), none, none, none)

    def codes_to_values(self, codes: Any, range: str | None = None) -> Any:
        places = ops.floor_divide(ops.cast(codes, "int32")[..., None], self._basis)
        places = ops.mod(places, np.array(self.levels, "int32"))
        return ops.cast(places, "float32") / self._width - 1.0

    def table(self, range: str | None = None) -> Any:
        return self.codes_to_values(ops.arange(self.num_codes, dtype="int32"))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels, "margin": self.margin}
