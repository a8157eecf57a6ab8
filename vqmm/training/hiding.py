"""Which tokens of a training item are hidden: what the prior will be asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vqmm.config import Hiding
from vqmm.models.token_layout import TokenLayout


class Shown(NamedTuple):
    """What the prior sees of a batch.

    Attributes:
        hidden: bool[B, T], to be guessed.
        present: bool[B, sections].
        alone: bool[B, shared codes], what is hidden of them when they are shown alone.
    """

    hidden: np.ndarray
    present: np.ndarray
    alone: np.ndarray


def draw_hidden(layout: TokenLayout, there: np.ndarray, hiding: Hiding, rng: np.random.Generator) -> Shown:
    """Draws what is hidden.

    The hidden share of a section is cos(pi/2 * u) with u even in 0..1 (Chang et al. 2022, section
    3.3), the same for both modalities of half of the items.

    Args:
        layout: of the sequence.
        there: bool[B, sections], what the items have; shared codes always.
        hiding: how often which way.
        rng: of the draw.
    """
    count, sections = there.shape
    present = there.copy()
    private = np.arange(sections) > 0
    one = (rng.random(count) < hiding.single) & (there[:, private].sum(1) > 1)
    # Of those with all modalities one stays, each as often.
    stays = 1 + rng.integers(max(sections - 1, 1), size=count)
    present[one] &= ~private | (np.arange(sections) == stays[one, None])
    way = rng.random(count)
    lost = way < hiding.lost
    partial = (way >= hiding.lost) & (way < hiding.lost + hiding.partial)
    shares = np.cos(np.pi / 2 * rng.random((count, sections)))
    same = rng.random(count) < 0.5
    shares[same, 1:] = shares[same, -1:]
    shares[:, 0] = np.where(lost, 1.0, np.where(partial, shares[:, 0], 0.0))
    hidden = [_some(section.length, shares[:, n], rng) for n, section in enumerate(layout.sections)]
    alone = _some(layout.sections[0].length, np.cos(np.pi / 2 * rng.random(count)), rng)
    return Shown(np.concatenate(hidden, axis=1), present, alone)


def _some(length: int, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """bool[B, length], of each row the given share, rounded up."""
    order = rng.random((len(shares), length)).argsort(axis=1)
    return order < np.ceil(shares[:, None] * length)
