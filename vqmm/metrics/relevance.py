"""Groups items, so that an item of one modality is relevant to one of the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vqmm.data.pairing import Grouped


class Relevance(NamedTuple):
    """Groups of recordings and pictures; an item is relevant to a query of the same group.

    Attributes:
        kind: `"label"` (same label) or `"item"` (same item, whose copies all have its number).
        audio: i64[n], group of each recording; negative = cannot be evaluated, left out.
        image: i64[m], of each picture.
        note: how many items have labels, where some have and some have not; else "".
    """

    kind: str
    audio: np.ndarray
    image: np.ndarray
    note: str = ""

    @property
    def covered(self) -> int:
        """How many items have something of their group in the other modality."""
        both = np.intersect1d(self.audio[self.audio >= 0], self.image[self.image >= 0])
        return int(np.isin(self.audio, both).sum() + np.isin(self.image, both).sum())


def relevance(audio: Grouped, image: Grouped) -> Relevance:
    """Decides by label or by item, the same way for evaluation, validation and the report.

    By label where at least half of the items have a label that the other modality has too, or where fewer
    items would have a counterpart by item; else by item. Items without a label are left out where it is by
    label, since nobody knows what is relevant to them.

    Args:
        audio, image: items of both modalities.
    """
    sides = audio, image
    by_label = Relevance("label", audio.labels.astype("int64"), image.labels.astype("int64"))
    items = by_item(audio, image)
    total = sum(len(side.labels) for side in sides)
    labelled = int(sum((side.labels >= 0).sum() for side in sides))
    label_wins = by_label.covered and (2 * by_label.covered >= total or by_label.covered >= items.covered)
    chosen = by_label if label_wins else items
    if labelled in (0, total):
        return chosen
    what = (
        "found is what has the same label, and items without one are left out"
        if label_wins
        else "found is what belongs to the same item, and labels play no part"
    )
    return chosen._replace(note=f"{labelled:,} of {total:,} items have a label: {what}")


def by_item(audio: Grouped, image: Grouped) -> Relevance:
    """Same item."""
    return Relevance("item", audio.items.astype("int64"), image.items.astype("int64"))
