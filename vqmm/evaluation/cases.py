"""The single cases behind figures, so that two runs can be compared case by case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vqmm.atomic import replacing
from vqmm.metrics import Figure, bootstrap_figure

CASES = Path("report", "cases.npz")  # in a run folder


class Values(NamedTuple):
    """What one figure is the mean of.

    Attributes:
        ids: str[n], of the items (of the queries, for retrieval).
        values: f32[n].
    """

    ids: np.ndarray
    values: np.ndarray


class Cases(dict[str, Values]):
    """`Values` by the figure's path in `evaluation.json`."""

    def note(self, path: str, ids: Any, values: np.ndarray) -> None:
        """Keeps the cases of a figure."""
        self[path] = Values(np.asarray(ids, "str"), np.asarray(values, "float32"))

    def save(self, path: Path) -> None:
        """Writes an `.npz` whole or not at all."""
        arrays = {f"{name}/ids": held.ids for name, held in self.items()}
        arrays |= {f"{name}/values": held.values for name, held in self.items()}
        with replacing(path) as part, part.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path) -> Cases:
        """What `save` wrote; nothing where there is no file, as in runs judged by earlier versions."""
        found = cls()
        if path.exists():
            with np.load(path) as arrays:
                for name in arrays.files:
                    if name.endswith("/ids"):
                        figure = name.removesuffix("/ids")
                        found[figure] = Values(arrays[name], arrays[f"{figure}/values"])
        return found


def paired_difference(
    ours: Sequence[Values], theirs: Sequence[Values], resamples: int = 1000, seed: int = 0
) -> Figure | None:
    """How much more one config has of a figure than another, over the items that both were judged on.

    An item that is hard is hard for both: the difference, item by item, is known far better than
    either mean. Seeds of the same place are set against each other and averaged over; the interval
    is over items, so that it says nothing of other seeds.

    Args:
        ours, theirs: one a seed, as many of each.
        resamples, seed: of the bootstrap over items.

    Returns:
        The mean difference with its interval; None where there is no item in common.
    """
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for mine, other in zip(ours, theirs, strict=True):
        common, left, right = np.intersect1d(mine.ids, other.ids, return_indices=True)
        apart = mine.values[left].astype("float64") - other.values[right]
        for name, value in zip(common.tolist(), apart.tolist(), strict=True):
            sums[name] = sums.get(name, 0.0) + value
            counts[name] = counts.get(name, 0) + 1
    if not sums:
        return None
    values = np.array([total / counts[name] for name, total in sums.items()])
    return bootstrap_figure(values, "mean", resamples, seed)
