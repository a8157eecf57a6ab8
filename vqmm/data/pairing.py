"""Which recording meets which picture: pairs drawn afresh in every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

MISSING = -1


class Grouped(Protocol):
    """Items of one modality that know what they belong to: `items` i[n], `labels` i[n] (-1 unknown)."""

    @property
    def items(self) -> npt.NDArray[Any]: ...

    @property
    def labels(self) -> npt.NDArray[Any]: ...


class EpochPairs(NamedTuple):
    """Rows of a split's records that go together, -1 where a modality is missing.

    Attributes:
        audio: i64[n] rows of the recordings.
        image: i64[n] rows of the pictures.
    """

    audio: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]


class Pairing:
    """Draws the pairs of any epoch, and of any batch, as pure functions of the seed.

    Within a group (an item, or a label) every recording and every picture comes
    at least once an epoch; the modality with fewer rows repeats evenly. Rows of
    a group that lacks the other modality come alone. The epochs are laid end to
    end and cut into batches, so that every batch is full and batch k is found
    without drawing the batches before it.

    Args:
        audio_groups: i64[R], the group of each recording.
        image_groups: i64[P], the group of each picture.
        seed: of all draws.

    Raises:
        ValueError: neither recordings nor pictures.
    """

    def __init__(
        self,
        audio_groups: npt.NDArray[np.int64],
        image_groups: npt.NDArray[np.int64],
        seed: int,
    ):
        self._groups = (np.asarray(audio_groups, np.int64), np.asarray(image_groups, np.int64))
        self._seed = seed
        names, of_row = np.unique(np.concatenate(self._groups), return_inverse=True)
        rows = (of_row[: len(audio_groups)], of_row[len(audio_groups) :])
        self._counts = tuple(np.bincount(r, minlength=len(names)) for r in rows)
        sizes = np.maximum(*self._counts)
        self._slot_group = np.repeat(np.arange(len(names)), sizes)
        self._slot_number = np.arange(len(self._slot_group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        self._last: tuple[int, EpochPairs] | None = None
        if not len(self):
            raise ValueError("there is nothing to pair: no recordings and no pictures")

    def __len__(self) -> int:
        """Pairs in an epoch, the same in each."""
        return len(self._slot_group)

    def epoch(self, number: int, shuffle: bool = True) -> EpochPairs:
        """Draws the pairs of an epoch; with `shuffle` off, in the order of their groups."""
        random = np.random.default_rng([self._seed, number])
        sides = [self._side(which, random) for which in (0, 1)]
        if shuffle:
            order = random.permutation(len(self))
            sides = [side[order] for side in sides]
        return EpochPairs(*sides)

    def batch(self, step: int, size: int) -> EpochPairs:
        """Pairs `step * size` up to `(step + 1) * size` of the endless stream of epochs."""
        parts = list(self._pieces(step * size, size))
        return EpochPairs(*(np.concatenate(side) for side in zip(*parts, strict=True)))

    def _pieces(self, start: int, count: int) -> Iterator[EpochPairs]:
        while count > 0:
            number, offset = divmod(start, len(self))
            pairs = self._remembered(number)
            piece = EpochPairs(*(side[offset : offset + count] for side in pairs))
            yield piece
            start, count = start + len(piece.audio), count - len(piece.audio)

    def _remembered(self, number: int) -> EpochPairs:
        last = self._last  # read once: batches may be drawn by several threads
        if last is None or last[0] != number:
            last = (number, self.epoch(number))
            self._last = last
        return last[1]

    def _side(self, which: Literal[0, 1] | int, random: np.random.Generator) -> npt.NDArray[np.int64]:
        groups, counts = self._groups[which], self._counts[which]
        shuffled = np.lexsort((random.random(len(groups)), groups))  # rows by group, at random within
        starts, held = (np.cumsum(counts) - counts)[self._slot_group], counts[self._slot_group]
        place = starts + self._slot_number % np.maximum(held, 1)
        if not len(shuffled):
            return np.full(len(self), MISSING, np.int64)
        return np.where(held > 0, shuffled[np.minimum(place, len(shuffled) - 1)], MISSING)


def pairing_of(split: tuple[Grouped, Grouped], pair_by: Literal["item", "label"], seed: int) -> Pairing:
    """Groups a split's recordings and pictures by item or by label, and pairs within the groups.

    By label, a record whose label is unknown stays with the records of its item.
    """
    recordings, pictures = split
    if pair_by == "item":
        return Pairing(recordings.items, pictures.items, seed)
    # Items move above the labels, so that the two never meet.
    above = int(max((side.labels.max(initial=0) for side in split), default=0)) + 1
    groups = [np.where(s.labels >= 0, s.labels, above + s.items) for s in (recordings, pictures)]
    return Pairing(groups[0], groups[1], seed)


def pairs_of_epoch(
    split: tuple[Grouped, Grouped],
    pair_by: Literal["item", "label"],
    seed: int,
    epoch: int,
    shuffle: bool = True,
) -> EpochPairs:
    """Draws the pairs of one epoch of a split. See `Pairing`."""
    return pairing_of(split, pair_by, seed).epoch(epoch, shuffle)
