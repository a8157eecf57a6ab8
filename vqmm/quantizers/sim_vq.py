"""SimVQ: a frozen codebook behind one linear map."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vqmm.config import Quantizer as Spec
from vqmm.quantizers.base import Quantized, Quantizer, masked_mse
from vqmm.quantizers.products import exact_matmul
from vqmm.quantizers.search import nearest_rows

DEFAULTS = Spec()


@keras.saving.register_keras_serializable("vqmm")
class SimVQ(Quantizer):
    """Nearest neighbour among `codebook @ map`, of which only the map learns (Zhu et al. 2024).

    One gradient moves all codes together, so that none is left behind, whatever the
    size of the codebook.

    Args:
        num_codes: size of the codebook.
        dim: of a code vector.
        commitment: weight of the commitment loss beside the codebook loss, which has weight 1.
        seed: of the frozen codebook and of the map.

    Raises:
        ValueError: fewer than one code, or dim below 2 with the rotation estimator.
    """

    def __init__(
        self, num_codes: int, dim: int, commitment: float = DEFAULTS.commitment, seed: int = 0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        if num_codes < 1 or dim < 1:
            raise ValueError(f"num_codes={num_codes}, dim={dim}; both are at least 1")
        if dim < 2 and self.estimator == "rotation":
            raise ValueError("dim=1 cannot be rotated; take estimator='straight_through'")
        self.num_codes = int(num_codes)
        self.dim = int(dim)
        self.commitment = float(commitment)
        self.seed = int(seed)
        self.codebook = self.add_weight(
            name="codebook",
            shape=(self.num_codes, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=self.dim**-0.5, seed=self.seed),
            trainable=False,
            dtype="float32",
        )
        self.map = self.add_weight(
            name="map",
            shape=(self.dim, self.dim),
            initializer=keras.initializers.Orthogonal(seed=self.seed + 1),
            dtype="float32",
        )
        self.built = True

    @property
    def code_weights(self) -> list[Any]:
        return [self.codebook, self.map]

    @property
    def update_rules(self) -> dict[str, str]:
        return dict.fromkeys(self.ranges, "gradient")

    def table(self, range: str | None = None) -> Any:
        self.range_of(range)
        return exact_matmul(self.codebook, self.map)

    def choose(self, latents: Any, range: str | None, present: Any) -> Quantized:
        table = self.table(range)
        codes = nearest_rows(ops.stop_gradient(latents), ops.stop_gradient(table))
        # The rows are mapped, not the table: the gradient needs no more than they do.
        chosen = exact_matmul(ops.take(self.codebook, codes, axis=0), self.map)
        fixed = ops.stop_gradient(chosen)
        return Quantized(
            fixed,
            codes,
            self.commitment * masked_mse(latents, fixed, present),
            masked_mse(chosen, ops.stop_gradient(latents), present),
            ops.zeros(()),
        )

    def codes_to_values(self, codes: Any, range: str | None = None) -> Any:
        return exact_matmul(ops.take(self.codebook, codes, axis=0), self.map)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_codes": self.num_codes,
            "dim": self.dim,
            "commitment": self.commitment,
            "seed": self.seed,
        }
