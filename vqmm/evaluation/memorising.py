"""Are drawn items copies of training items?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vqmm.metrics import bootstrap_figure

BLOCK = 256


class Nearest(NamedTuple):
    """The training item that has most codes in common with an item.

    Attributes:
        rows: i[n], of the training items.
        equal: f64[n], share of codes that are equal, place by place.
    """

    rows: np.ndarray
    equal: np.ndarray


def nearest_training(codes: np.ndarray, training: np.ndarray) -> Nearest:
    """Looks each item up.

    Args:
        codes: i32[n, P].
        training: i32[m, P].
    """
    rows, equal = [], []
    for start in range(0, len(codes), BLOCK):
        block = codes[start : start + BLOCK]
        counts = np.zeros((len(block), len(training)), "int32")
        for place in range(codes.shape[1]):
            counts += block[:, place, None] == training[None, :, place]
        rows.append(counts.argmax(1))
        equal.append(counts.max(1) / codes.shape[1])
    return Nearest(np.concatenate(rows), np.concatenate(equal))


def memorising_section(
    drawn: np.ndarray, held_out: np.ndarray, training: np.ndarray, resamples: int, seed: int
) -> dict[str, Any]:
    """How near drawn items are to training items, beside held-out ones, which nobody can have learned.

    `equal_codes` and `held_out`: mean share of private codes that an item has in common with the
    training item nearest to it; `copies`: share of drawn items with nine tenths or more.

    Args:
        drawn, held_out, training: private codes i32[n, P] of drawn, judged and training items.
        resamples, seed: of the intervals.
    """
    found = {name: nearest_training(codes, training).equal for name, codes in (("d", drawn), ("h", held_out))}
    figures = {
        "equal_codes": found["d"],
        "held_out": found["h"],
        "copies": (found["d"] >= 0.9).astype("float64"),
    }
    return {
        name: bootstrap_figure(values, resamples=resamples, seed=seed).to_json()
        for name, values in figures.items()
    }
