"""Describes which part of a recording a model is given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.config import AudioSpec


class UsedPart(NamedTuple):
    """The part of a recording that a model is given.

    Attributes:
        start: of the part, seconds from the beginning of the recording.
        end: of the part, in the same way.
        of: seconds that the recording lasts.
        is_cut: whether there is more sound than the model's window takes; quiet at the ends is no sound.
    """

    start: float
    end: float
    of: float
    is_cut: bool

    def facts(self) -> dict[str, float]:
        """The same for JSON: `start_seconds`, `end_seconds` and `of_seconds`."""
        return {
            "start_seconds": round(self.start, 6),
            "end_seconds": round(self.end, 6),
            "of_seconds": round(self.of, 6),
        }

    def sentence(self) -> str:
        """Returns a sentence on what is used, without its subject (the recording)."""
        return (
            f"is longer than the model's window: its loudest {self.end - self.start:.3f} s, from "
            f"{self.start:.3f} to {self.end:.3f} s of {self.of:.3f} s, are used"
        )


def used_part(samples: npt.NDArray[np.int16], begin: int, total: int, spec: AudioSpec) -> UsedPart:
    """Finds the part as evaluation, queries and the service cut it: the loudest window.

    Args:
        samples: i16[n], the recording without quiet at its ends.
        begin: sample of the whole recording at which they begin.
        total: samples of the whole recording.
        spec: its `samples` are the window, its `sample_rate` is that of `samples`.
    """
    start, window = 0, spec.samples
    if len(samples) > window:
        # As `vqmm.data.windows.loudest_start`, without TensorFlow: worker processes do not import it.
        energy = np.concatenate([[0], np.cumsum(np.square(samples.astype(np.int64)))])
        start = int(np.argmax(energy[window:] - energy[:-window]))
    end = min(len(samples), start + window)
    rate = spec.sample_rate
    return UsedPart((begin + start) / rate, (begin + end) / rate, total / rate, len(samples) > window)


def count_longer(lengths: npt.ArrayLike, spec: AudioSpec) -> int:
    """How many recordings of `lengths` i[n], in samples, are longer than the window of the spec."""
    return int((np.asarray(lengths) > spec.samples).sum())


def longer_than_window(lengths: npt.ArrayLike, spec: AudioSpec) -> str | None:
    """Says how many recordings are longer than the window; None where none is.

    Args:
        lengths: i[n], samples of each.
        spec: its `samples` are the window.
    """
    count = count_longer(lengths, spec)
    if count == 0:
        return None
    return (
        f"{count} of {np.size(lengths)} recordings are longer than the model's window of "
        f"{spec.samples / spec.sample_rate:.3f} s: the loudest window of each is used (data.audio.samples)"
    )
