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
    """

    hidden: np.ndarray
    present: np.ndarray


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
    alone = way < hiding.alone
    lost = (way >= hiding.alone) & (way < hiding.alone + hiding.lost)
    partial = (way >= hiding.alone + hiding.lost) & (way < hiding.alone + hiding.lost + hiding.partial)
    present[alone] &= ~private
    shares = np.cos(np.pi / 2 * rng.random((count, sections)))
    same = rng.random(count) < 0.5
    shares[same, 1:] = shares[same, -1:]
    shares[:, 0] = np.where(lost, 1.0, np.where(alone | partial, shares[:, 0], 0.0))
    hidden = np.zeros((count, layout.length), bool)
    for number, part in enumerate(layout.slices().values()):
        length = part.stop - part.start
        order = rng.random((count, length)).argsort(axis=1)
        hidden[:, part] = order < np.ceil(shares[:, number, None] * length)
    return Shown(hidden, present)
