"""Lookup-free and binary spherical quantization: the signs of a latent are its code."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from vqmm.config import Quantizer as Spec
from vqmm.quantizers.base import Quantized, Quantizer, masked_mse, row_weights
from vqmm.replicas import replica_count, sum_over_replicas

DEFAULTS = Spec()

MOST_BITS = 30
MOST_GROUP_BITS = 14


@keras.saving.register_keras_serializable("vqmm")
class LookupFree(Quantizer):
    """One bit an axis: LFQ (Yu et al. 2024, section 3.1) or, on the sphere, BSQ (Zhao et al. 2024).

    The entropy loss (LFQ equation 5) is `entropy * (E[H(p)] - diversity * H(E[p]))`, with p
    the softmax of `2 * inverse_temperature * <latent, corner>` over the corners of the
    cube. Bits are independent given the latent, so the first term is a sum over bits
    and exact. The second needs all corners: it is summed over groups of `group_bits`,
    an upper bound of it (BSQ section 3.3), exact where one group holds all bits.

    So quantizing costs as much as there are bits. `table` and `similarities` list all 2^bits
    codes, though, and a VQVAE asks for them wherever a loss compares codes (`swapped`,
    `agreement`, `code_matching`): with these the cost grows with codes, as that of a table does.

    Args:
        bits: size of a latent; there are 2^bits codes. The first axis is the highest bit.
        spherical: latents and values have unit length (BSQ); else values are -1 and 1.
        entropy: weight of the entropy loss.
        diversity: weight of even use within it.
        inverse_temperature: of p; large is hard.
        commitment: weight of the commitment loss.
        group_bits: bits whose joint use is to be even; None takes the largest divisor of
            `bits` that is at most 9.

    Raises:
        ValueError: bits outside 1..30, or group_bits not a divisor of them or above 14.
    """

    def __init__(
        self,
        bits: int,
        spherical: bool = False,
        entropy: float = DEFAULTS.entropy,
        diversity: float = 1.0,
        inverse_temperature: float = 100.0,
        commitment: float = DEFAULTS.commitment,
        group_bits: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not 1 <= bits <= MOST_BITS:
            raise ValueError(f"bits={bits}; legal: 1 to {MOST_BITS}")
        if spherical and bits < 2:
            raise ValueError(
                "bits=1 on the sphere leaves nothing to learn; take 2 or more, or spherical=False"
            )
        if group_bits is None:
            group_bits = max(n for n in range(1, 10) if bits % n == 0)
        if bits % group_bits or not 1 <= group_bits <= MOST_GROUP_BITS:
            raise ValueError(
                f"group_bits={group_bits}: it divides bits={bits} and is at most {MOST_GROUP_BITS}, "
                "as all 2^group_bits corners are listed"
            )
        if self.estimator == "rotation" and not spherical:
            raise ValueError(
                "estimator='rotation' needs values that a latent can be turned to: spherical=True"
            )
        self.bits = int(bits)
        self.spherical = bool(spherical)
        self.entropy = float(entropy)
        self.diversity = float(diversity)
        self.inverse_temperature = float(inverse_temperature)
        self.commitment = float(commitment)
        self.group_bits = int(group_bits)
        self.dim = self.bits
        self.num_codes = 2**self.bits
        self.distance = "cosine" if spherical else "euclidean"
        self.scale = self.bits**-0.5 if spherical else 1.0
        self._basis = (2 ** np.arange(self.bits - 1, -1, -1)).astype("int32")
        self.built = True

    @property
    def code_settings(self) -> dict[str, Any]:
        return {**super().code_settings, "spherical": self.spherical}

    def receive(self, latents: Any, range: str | None = None) -> Any:
        return self.embed(super().receive(latents))

    def embed(self, latents: Any, range: str | None = None) -> Any:
        latents = ops.cast(latents, "float32")
        return ops.normalize(latents, axis=-1) if self.spherical else latents

    def choose(self, latents: Any, range: str | None, present: Any) -> Quantized:
        self.range_of(range)
        up = ops.cast(latents > 0, "int32")
        values = self.scale * (2.0 * ops.cast(up, "float32") - 1.0)
        return Quantized(
            values,
            ops.sum(up * self._basis, axis=-1),
            self.commitment * masked_mse(latents, values, present),
            ops.zeros(()),
            self.entropy * self._entropies(latents, present) if self.entropy else ops.zeros(()),
        )

    def codes_to_values(self, codes: Any, range: str | None = None) -> Any:
        bits = ops.mod(ops.floor_divide(ops.cast(codes, "int32")[..., None], self._basis), 2)
        return self.scale * (2.0 * ops.cast(bits, "float32") - 1.0)

    def table(self, range: str | None = None) -> Any:
        return self.codes_to_values(ops.arange(self.num_codes, dtype="int32"))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "bits": self.bits,
            "spherical": self.spherical,
            "entropy": self.entropy,
            "diversity": self.diversity,
            "inverse_temperature": self.inverse_temperature,
            "commitment": self.commitment,
            "group_bits": self.group_bits,
        }

    def _entropies(self, latents: Any, present: Any) -> Any:
        """E[H(p)] - diversity * H(E[p]) in nats."""
        logits = 4.0 * self.inverse_temperature * self.scale * latents
        up, down = -ops.softplus(-logits), -ops.softplus(logits)  # log-probabilities of a bit
        own = -ops.sum(ops.exp(up) * up + ops.exp(down) * down, axis=-1)
        weights = ops.ones_like(own) if present is None else ops.ones_like(own) * row_weights(present, own)
        (total,) = sum_over_replicas([ops.sum(weights)])
        total = ops.maximum(total, 1.0)
        sure = ops.sum(own * weights) * replica_count() / total
        if not self.diversity:
            return sure
        groups = self.bits // self.group_bits
        pair = ops.reshape(ops.stack([down, up], axis=-1), (-1, groups, self.group_bits, 2))
        joint = pair[:, :, 0]
        for bit in range(1, self.group_bits):  # log-probabilities of all corners, highest bit first
            joint = ops.reshape(joint[..., None] + pair[:, :, bit, None], (-1, groups, 2 ** (bit + 1)))
        flat = ops.reshape(weights, (-1, 1, 1))
        (use,) = sum_over_replicas([ops.sum(ops.exp(joint) * flat, axis=0)])  # even over the joint batch
        use = use / total
        return sure + self.diversity * ops.sum(use * ops.log(ops.maximum(use, 1e-20)))
