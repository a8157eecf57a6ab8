"""Discriminators of waveforms, which see them as spectra of several resolutions, with their phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from vqmm.config import Discriminator as Spec
from vqmm.networks.discriminator import Discriminator, Judgement

DEFAULTS = Spec()

SOFT = 1e-3  # magnitude below which a bin is not lifted any more
LIFT = 0.7  # bins are divided by their magnitude to this power: quiet ones show as well


@keras.saving.register_keras_serializable("vqmm")
class SoundDiscriminator(keras.layers.Layer):
    """A PatchGAN for each of several complex short-time spectra (Défossez et al. 2022, section 3.4).

    Args:
        windows: of the spectra, samples, a quarter apart.
        filters: see `Discriminator`.
        norm: see `Discriminator`.
        seed: of the weights.

    Input: f32[B, samples]. Output: `Judgement`, its parts for each window one after another.

    Raises:
        ValueError: as `Discriminator`.
    """

    def __init__(
        self,
        windows: Sequence[int],
        filters: Sequence[int],
        norm: str = DEFAULTS.norm,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)  # half precision would lose the waveform's quiet parts
        self.windows = tuple(windows)
        self.filters = tuple(filters)
        self.norm = norm
        self.seed = seed
        self.judges = [
            Discriminator(self.filters, 1, norm, seed=seed + place, name=f"window_{window}")
            for place, window in enumerate(self.windows)
        ]

    def build(self, input_shape: Any) -> None:
        for window, judge in zip(self.windows, self.judges, strict=True):
            judge.build((None, 1 + input_shape[-1] // (window // 4), window // 2 + 1, 2))
        self.built = True

    def call(self, audio: Any, training: bool | None = None) -> Judgement:
        logits, features = [], []
        for window, judge in zip(self.windows, self.judges, strict=True):
            said = judge(lifted_spectrum(audio, window), training=training)
            logits += said.logits
            features += said.features
        return Judgement(logits, features)

    def get_config(self) -> dict[str, Any]:
        own = {"windows": self.windows, "filters": self.filters, "norm": self.norm, "seed": self.seed}
        return {**super().get_config(), **own}


def lifted_spectrum(audio: Any, window: int) -> Any:
    """Real and imaginary part f32[B, frames, bins, 2], quiet bins lifted, loud ones lowered."""
    real, imaginary = ops.stft(ops.cast(audio, "float32"), window, window // 4, window)
    size = ops.sqrt(ops.square(real) + ops.square(imaginary) + SOFT**2)
    return ops.stack([real, imaginary], axis=-1) * ops.expand_dims(size**-LIFT, -1)
