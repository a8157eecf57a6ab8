"""How far a sound is from another over several resolutions of its spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from vqmm.losses.weighting import masked_mean


def multiscale_mel_loss(original: Any, rebuilt: Any, scales: Sequence[Any], mask: Any) -> Any:
    """L1 between log-mel spectrograms of waveforms, mean over resolutions.

    Args:
        original, rebuilt: f32[B, samples].
        scales: layers from waveforms to log-mel, as `vqmm.audio.LogMel`.
        mask: bool[B].

    Returns:
        f32 scalar, in log10 units of power.
    """
    parts = [
        masked_mean(ops.mean(ops.abs(scale(original) - scale(rebuilt)), axis=(1, 2, 3)), mask)
        for scale in scales
    ]
    return sum(parts) / len(parts)
