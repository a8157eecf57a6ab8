"""From a short-time spectrum back to the waveform, as a Keras layer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("vqmm")
class InverseSTFT(keras.layers.Layer):
    """Inverse short-time Fourier transform, divided by the envelope of the squared windows.

    Least squares (Griffin and Lim 1984, equation 6). Frame t is centred on sample t times
    `hop_length`, so that it undoes a centred transform at the edges as well as inside, where
    `keras.ops.istft` on TensorFlow 2.17 takes the envelope of an endless signal. Float32 under
    every dtype policy; overlapping frames are added by reshapes, which every backend and XLA have.

    Args:
        n_fft: length of the periodic Hann window and of the transform, samples: even.
        hop_length: samples between frames; half of `n_fft` or less, and divides it.

    Inputs: real and imaginary part, f32[B, frames, n_fft // 2 + 1].
    Output: f32[B, frames * hop_length].

    Raises:
        ValueError: windows that do not overlap evenly.
    """

    def __init__(self, n_fft: int, hop_length: int, **kwargs: Any):
        import scipy.signal

        kwargs.setdefault("dtype", "float32")
        super().__init__(trainable=False, **{k: v for k, v in kwargs.items() if k != "trainable"})
        if n_fft < 2 or n_fft % 2 or hop_length < 1 or n_fft % hop_length or 2 * hop_length > n_fft:
            raise ValueError(
                f"n_fft={n_fft}, hop_length={hop_length}: n_fft is even and two or more whole hops"
            )
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.window = scipy.signal.get_window("hann", n_fft, fftbins=True).astype("float32")

    def compute_output_shape(self, real_shape: Any, imaginary_shape: Any = None) -> tuple[int | None, ...]:
        frames = real_shape[1]
        return (real_shape[0], None if frames is None else frames * self.hop_length)

    def call(self, real: Any, imaginary: Any) -> Any:
        frames = real.shape[1]
        parts = ops.irfft((ops.cast(real, "float32"), ops.cast(imaginary, "float32")), self.n_fft)
        added = self._added(parts * self.window, frames)
        half, length = self.n_fft // 2, frames * self.hop_length
        return added[:, half : half + length] / self._envelope(frames)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n_fft": self.n_fft, "hop_length": self.hop_length}

    def _added(self, parts: Any, frames: int) -> Any:
        """Frames f32[B, frames, n_fft] laid over each other, f32[B, (frames - 1) * hop + n_fft]."""
        turns = self.n_fft // self.hop_length
        pieces = ops.reshape(parts, (-1, frames, turns, self.hop_length))
        total: Any = 0.0
        for turn in range(turns):
            total = total + ops.pad(pieces[:, :, turn], [[0, 0], [turn, turns - 1 - turn], [0, 0]])
        return ops.reshape(total, (-1, (frames + turns - 1) * self.hop_length))

    def _envelope(self, frames: int) -> np.ndarray:
        total = np.zeros((frames - 1) * self.hop_length + self.n_fft)
        for start in range(0, frames * self.hop_length, self.hop_length):
            total[start : start + self.n_fft] += np.square(self.window, dtype="float64")
        half = self.n_fft // 2
        return total[half : half + frames * self.hop_length].astype("float32")
