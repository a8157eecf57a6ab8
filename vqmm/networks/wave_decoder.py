"""From log-mel frames to a waveform in one pass: a spectrum of finer frames, and its inverse."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from vqmm.audio.inverse_stft import InverseSTFT
from vqmm.config import Vocoder as Spec
from vqmm.networks.convnext import ConvNeXtBlock

DEFAULTS = Spec()

SILENCE, SPREAD = -5.0, 3.0  # log10 of mel power at rest, and what is about one
LOUDEST = 6.0  # natural logarithm of a bin's magnitude; a wild guess must not overflow


@keras.saving.register_keras_serializable("vqmm")
class WaveDecoder(keras.layers.Layer):
    """Guesses magnitude and phase of a short-time spectrum, whose inverse is the sound.

    As in Vocos (Siuzdak 2023), with one difference: log-mel frames that lie far apart are first
    divided into `finer` ones each, since a waveform is laid together smoothly only from windows
    that overlap several times.

    Args:
        hop_length: samples between log-mel frames.
        n_fft: of the guessed spectrum, samples; a multiple of `hop_length / finer`.
        finer: frames of the spectrum for each log-mel frame; it divides `hop_length`.
        dim: channels.
        depth: blocks over log-mel frames.
        fine_depth: blocks over the finer frames, of `fine_dim` channels.
        fine_dim: see there.
        kernel: frames that a block's convolution sees.
        seed: of the weights.

    Input: f32[B, frames, mels, 1], log10 of mel power. Output: f32[B, frames * hop_length].

    Raises:
        ValueError: frames that cannot be divided so.
    """

    def __init__(
        self,
        hop_length: int,
        n_fft: int,
        finer: int = DEFAULTS.finer,
        dim: int = DEFAULTS.dim,
        depth: int = DEFAULTS.depth,
        fine_depth: int = DEFAULTS.fine_depth,
        fine_dim: int = DEFAULTS.fine_dim,
        kernel: int = DEFAULTS.kernel,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if finer < 1 or hop_length % finer:
            raise ValueError(f"finer={finer}: it must divide the hop of {hop_length} samples")
        self.hop_length = hop_length
        self.n_fft = n_fft
        self.finer = finer
        self.dim = dim
        self.depth = depth
        self.fine_depth = fine_depth
        self.fine_dim = fine_dim
        self.kernel = kernel
        self.seed = seed
        self.inverse = InverseSTFT(n_fft, hop_length // finer, name="inverse")

    def build(self, input_shape: Any) -> None:
        frames, mels = input_shape[1:3]

        def start(place: int) -> keras.initializers.Initializer:
            return keras.initializers.GlorotUniform(seed=self.seed + 1000 + place)

        def blocks(count: int, name: str, seed: int) -> list[ConvNeXtBlock]:
            return [
                ConvNeXtBlock(
                    kernel=self.kernel, scale=1.0 / max(count, 1), seed=seed + 10 * n, name=f"{name}_{n}"
                )
                for n in range(count)
            ]

        self.first = keras.layers.Conv1D(
            self.dim, self.kernel, padding="same", kernel_initializer=start(0), name="first"
        )
        self.blocks = blocks(self.depth, "block", self.seed)
        self.divide = keras.layers.Dense(
            self.finer * self.fine_dim, kernel_initializer=start(1), name="divide"
        )
        self.fine_blocks = blocks(self.fine_depth, "fine", self.seed + 500)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")
        self.spectrum = keras.layers.Dense(
            2 * (self.n_fft // 2 + 1), kernel_initializer=start(2), name="spectrum"
        )
        self.first.build((None, frames, mels))
        for block in self.blocks:
            block.build((None, frames, self.dim))
        self.divide.build((None, frames, self.dim))
        fine = (None, frames and frames * self.finer, self.fine_dim)
        for layer in (*self.fine_blocks, self.norm, self.spectrum):
            layer.build(fine)
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, int]:
        return (input_shape[0], input_shape[1] * self.hop_length)

    def call(self, log_mel: Any) -> Any:
        frames = log_mel.shape[1]
        x = (ops.squeeze(log_mel, -1) - SILENCE) / SPREAD
        x = self.first(ops.cast(x, self.compute_dtype))
        for block in self.blocks:
            x = block(x)
        x = ops.reshape(self.divide(x), (-1, frames * self.finer, self.fine_dim))
        for block in self.fine_blocks:
            x = block(x)
        size, phase = ops.split(ops.cast(self.spectrum(self.norm(x)), "float32"), 2, axis=-1)
        magnitude = ops.exp(ops.minimum(size, LOUDEST))
        return self.inverse(magnitude * ops.cos(phase), magnitude * ops.sin(phase))

    def get_config(self) -> dict[str, Any]:
        keys = ("hop_length", "n_fft", "finer", "dim", "depth", "fine_depth", "fine_dim", "kernel", "seed")
        return {**super().get_config(), **{key: getattr(self, key) for key in keys}}
