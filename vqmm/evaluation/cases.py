"""What stands behind figures, case by case, so that two runs can be compared on the same cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vqmm.atomic import replacing
from vqmm.metrics import Figure, Rebuilt, bootstrap_figure, frechet_difference

CASES = Path("report", "cases.npz")  # in a run folder
IN_FEATURES = (".perceptual", ".frechet")  # how the paths of what is measured in features end


class Values(NamedTuple):
    """What one figure is the mean of.

    Attributes:
        ids: str[n], of the items (of the queries, for retrieval).
        values: f32[n].
        judge: fingerprint of the network in whose features they were measured; "" where it was in
            none, or by an earlier version.
    """

    ids: np.ndarray
    values: np.ndarray
    judge: str = ""


class Features(NamedTuple):
    """What a Fréchet distance is of.

    Attributes:
        ids: str[n], of the items.
        real, rebuilt: f32[n, F], the items' features and those of what a model made of them.
        judge: fingerprint of the network that gave them; "" by an earlier version.
    """

    ids: np.ndarray
    real: np.ndarray
    rebuilt: np.ndarray
    judge: str = ""


class Cases(dict[str, Values | Features]):
    """What stands behind a figure, by its path in `evaluation.json`."""

    def note(self, path: str, ids: Any, values: np.ndarray, judge: str = "") -> None:
        """Keeps the cases of a mean."""
        self[path] = Values(np.asarray(ids, "str"), np.asarray(values, "float32"), judge)

    def note_features(
        self, path: str, ids: Any, real: np.ndarray, rebuilt: np.ndarray, judge: str = ""
    ) -> None:
        """Keeps the features behind a Fréchet distance."""
        real, rebuilt = (np.asarray(x, "float32") for x in (real, rebuilt))
        self[path] = Features(np.asarray(ids, "str"), real, rebuilt, judge)

    def save(self, path: Path) -> None:
        """Writes an `.npz` whole or not at all."""
        arrays = {
            f"{name}/{part}": array for name, held in self.items() for part, array in held._asdict().items()
        }
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
                        kind: Any = Values if f"{figure}/values" in arrays else Features
                        parts = [arrays[f"{figure}/{part}"] for part in kind._fields if part != "judge"]
                        judge = f"{figure}/judge"
                        found[figure] = kind(*parts, str(arrays[judge]) if judge in arrays else "")
        return found

    def why_apart(self, other: Cases, path: str) -> str:
        """Why a figure of two runs cannot be set against each other; "" where it can.

        What was measured in features can be where these are of one network: by its fingerprint, or
        because both give the same items the same features, but for rounding.
        """
        ours, theirs = self[path], other[path]
        if not path.endswith(IN_FEATURES) or (ours.judge and ours.judge == theirs.judge):
            return ""
        sets = f"{path.rpartition('.')[0]}.frechet"
        probes = self.get(sets), other.get(sets)
        if (
            isinstance(probes[0], Features)
            and isinstance(probes[1], Features)
            and (probes[0].judge, probes[1].judge) == (ours.judge, theirs.judge)
            and _same_features(probes[0], probes[1])
        ):
            return ""
        if not (ours.judge and theirs.judge):
            return "an earlier version judged one and did not keep in whose features; evaluate both again"
        names = f"{ours.judge} and {theirs.judge}"
        return (
            f"they were judged in features of different networks (fingerprints {names}); judge both by "
            "evaluate on one machine, by the same extractor"
        )


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


def paired_frechet(
    ours: Sequence[Features], theirs: Sequence[Features], resamples: int = 200, seed: int = 0
) -> Figure | None:
    """As `paired_difference`, of the Fréchet distance; see `vqmm.metrics.frechet_difference`.

    Returns:
        None where fewer than two items are common to all, or a seed's two runs were judged by different
        features: by extractors that were taught on other data or otherwise (`Cases.why_apart` tells).
    """
    common = sorted(set.intersection(*(set(held.ids.tolist()) for held in (*ours, *theirs))))
    if len(common) < 2:
        return None

    def same(held: Features) -> Rebuilt:
        rows = {name: row for row, name in enumerate(held.ids.tolist())}
        order = [rows[name] for name in common]
        return Rebuilt(held.real[order], held.rebuilt[order])

    mine, other = ([same(held) for held in side] for side in (ours, theirs))
    if not all(_alike(one.real, two.real) for one, two in zip(mine, other, strict=True)):
        return None
    return frechet_difference(mine, other, resamples, seed)


def _same_features(ours: Features, theirs: Features) -> bool:
    """Whether both networks see the same in the items that both were shown."""
    common, left, right = np.intersect1d(ours.ids, theirs.ids, return_indices=True)
    return bool(len(common)) and _alike(ours.real[left], theirs.real[right])


def _alike(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return ours.shape == theirs.shape and np.allclose(ours, theirs, 1e-3, 1e-3)
