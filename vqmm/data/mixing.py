"""Chooses between the mean of a recording's channels and one of them, by energy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CANCELLED = 0.25  # of the energy that channels have when they are unlike each other: -6 dB
FAINT = 1e-12  # energy of a sample, -120 dB: nothing there to cancel


class ChannelMixer:
    """Mixes a recording down block by block, and finds whether its channels cancel each other.

    The sum of channels that have nothing in common has the sum of their energies. Where it has less
    than a quarter of that (-6 dB), the channels are of opposite phase, as after wiring a microphone
    the wrong way round, and their mean lacks what was recorded. Energies are compared twice: of the
    samples without their mean, and of the differences from one sample to the next, in which hum
    counts for little: a hum that all channels share does not hide speech that cancels. Either
    decides. `vqmm.export.wav_input` has the same rule in its graph.

    Args:
        channels: number of them.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self._count = 0
        self._sum = np.zeros(channels + 1)
        self._square = np.zeros(channels + 1)
        self._step_square = np.zeros(channels + 1)
        self._last: npt.NDArray[np.float64] | None = None

    def mean(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Adds the next block, f32[n, channels]; returns the mean of its channels, f32[n]."""
        mono: npt.NDArray[np.float32] = block.mean(axis=1)
        if self.channels > 1 and len(block):
            columns = np.concatenate([block, mono[:, None]], axis=1).astype(np.float64)
            self._count += len(columns)
            self._sum += columns.sum(axis=0)
            self._square += np.square(columns).sum(axis=0)
            before = columns[:1] if self._last is None else self._last
            self._step_square += np.square(np.diff(columns, axis=0, prepend=before)).sum(axis=0)
            self._last = columns[-1:]
        return mono

    @property
    def kept(self) -> float:
        """Energy of the sum of channels over the sum of their energies, the lesser of the two ways."""
        if self.channels < 2 or self._count == 0:
            return 1.0
        shares = [self._share(energy) for energy in (self._energy(), self._step_square)]
        return min(shares)

    @property
    def loudest(self) -> int:
        """The channel with the most energy, the first of several."""
        return int(np.argmax(self._energy()[:-1]))

    def cancels(self) -> bool:
        """Returns whether the channels cancel each other."""
        return self.kept < CANCELLED

    def _energy(self) -> npt.NDArray[np.float64]:
        return self._square - np.square(self._sum) / max(1, self._count)

    def _share(self, energy: npt.NDArray[np.float64]) -> float:
        apart = float(energy[:-1].sum())
        if not apart > FAINT * self._count:
            return 1.0
        return self.channels**2 * float(energy[-1]) / apart
