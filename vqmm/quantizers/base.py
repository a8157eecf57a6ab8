"""What every quantizer returns and takes."""

from __future__ import annotations

from typing import Any, NamedTuple


class Quantized(NamedTuple):
    """Latents turned into codes.

    Attributes:
        values: f32[B, T, D], the chosen code vectors; gradients pass straight
            through to the latents.
        codes: i32[B, T], rows of the joint table.
        commitment_loss: scalar, weight included; pulls latents to their codes.
        codebook_loss: scalar; pulls codes to their latents (0 where the codebook
            follows a moving average instead).
    """

    values: Any
    codes: Any
    commitment_loss: Any
    codebook_loss: Any


class Assignment(NamedTuple):
    """Tokens of one modality and the codes they chose, for the joint codebook update.

    Attributes:
        latents: f32[B, T, D] as they went into the quantizer.
        codes: i32[B, T], rows of the joint table.
        mask: bool[B], False where the modality is missing.
    """

    latents: Any
    codes: Any
    mask: Any
