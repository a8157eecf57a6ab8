"""Splits for manifests that name none, and a check of those that do."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vqmm.data.manifest import Row
from vqmm.data.shards import SPLITS

FRACTIONS = {"test": 0.1, "validation": 0.1}  # of the items that are expected there; the rest trains


class Divided(NamedTuple):
    """An item, or equal files, that a manifest puts into more than one split.

    Attributes:
        rows: numbers of the rows that belong together.
        splits: that they name.
    """

    rows: tuple[int, ...]
    splits: tuple[str, ...]


def assign_splits(rows: Sequence[Row], seed: int, contents: Mapping[Path, str] | None = None) -> list[Row]:
    """Gives every row a split.

    Rows of one item, and items of which some files have equal content, form a group and go to
    one split together. A group's split follows from a hash of the seed and of its name alone:
    10 % are expected in test, 10 % in validation. So a group stays where it is whatever other
    rows come, go or change places; a small set may have nothing in a split. A group's name is
    that of its items where the manifest names them, else the content of its pictures, else of
    its recordings; of several names, the one whose hash is least counts. Rows that join two
    groups can thus move one of them.

    A row without a split whose group has rows with one takes that; of several, train before
    validation before test, so that no copy of a training item is held out.

    Args:
        rows: of one manifest.
        seed: of the hash.
        contents: hash of the content of each file; files that are not in it are equal to none.

    Returns:
        The rows, in order, none with ``split`` None.
    """
    contents = contents or {}
    found: dict[int, str] = {}
    for group, members in _grouped(rows, contents).items():
        given = [split for split in SPLITS if any(row.split == split for row in members)]
        found[group] = given[0] if given else _split_of(seed, members, contents)
    groups = _groups(rows, contents)
    return [
        row if row.split else replace(row, split=found[int(group)])
        for row, group in zip(rows, groups, strict=True)
    ]


def divided_groups(rows: Sequence[Row], contents: Mapping[Path, str] | None = None) -> list[Divided]:
    """Finds items, with all that has equal content, whose rows name more than one split.

    Args:
        rows: with splits.
        contents: as for `assign_splits`.

    Returns:
        In order of their first rows.
    """
    found = []
    for members in _grouped(rows, contents or {}).values():
        splits = tuple(split for split in SPLITS if any(row.split == split for row in members))
        if len(splits) > 1:
            found.append(Divided(tuple(row.number for row in members), splits))
    return sorted(found)


def hash_place(seed: int, name: str) -> float:
    """A number in 0..1 that follows from seed and name, as if drawn evenly."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_at(place: float, fractions: Mapping[str, float] = FRACTIONS) -> str:
    """The split of a number in 0..1: the fractions in order from 0 on, the rest is train."""
    for split, fraction in fractions.items():
        if place < fraction:
            return split
        place -= fraction
    return "train"


def _split_of(seed: int, members: Sequence[Row], contents: Mapping[Path, str]) -> str:
    # Another hash than that of the place chooses the name: else large groups would be held out more often.
    name = min(_names(members, contents), key=lambda name: hash_place(seed, f"first of {name}"))
    return split_at(hash_place(seed, name))


def _names(members: Sequence[Row], contents: Mapping[Path, str]) -> set[str]:
    given = {f"item {row.item}" for row in members if row.item_named}
    pictures = {f"content {contents[row.image]}" for row in members if row.image and row.image in contents}
    recordings = {f"content {contents[row.audio]}" for row in members if row.audio and row.audio in contents}
    return given or pictures or recordings or {f"item {row.item}" for row in members}


def _grouped(rows: Sequence[Row], contents: Mapping[Path, str]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row, group in zip(rows, _groups(rows, contents), strict=True):
        found[int(group)].append(row)
    return found


def _groups(rows: Sequence[Row], contents: Mapping[Path, str]) -> np.ndarray:
    """The number of each row's group, i[rows]: rows that share an item, a file or content."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes: dict[str, int] = {}
    edges: list[tuple[int, int]] = []
    for place, row in enumerate(rows):
        files = [file for file in (row.audio, row.image) if file is not None]
        names = [f"item {row.item}", *(f"content {contents.get(file, file)}" for file in files)]
        edges += [(place, len(rows) + nodes.setdefault(name, len(nodes))) for name in names]
    size = len(rows) + len(nodes)
    ends = np.array(edges, np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), (size, size))
    return connected_components(graph, directed=False)[1][: len(rows)]
