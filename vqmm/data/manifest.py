"""The manifest: a table that names recordings and pictures and says what belongs together."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vqmm.data.column_names import COLUMNS, PATHS, check_columns
from vqmm.data.labels import alike, is_absent_in_words, whole_number
from vqmm.data.manifest_paths import path_below
from vqmm.data.shards import SPLITS
from vqmm.data.table import read_table
from vqmm.errors import UserError, nearest

log = logging.getLogger("vqmm.data")

CLASSES = ("label", "item", "id")  # columns whose values are compared with each other
SHOWN = 5  # groups that a warning lists


@dataclass(frozen=True)
class Row:
    """One row of a manifest.

    Attributes:
        number: of the row, from 1, the heading not counted.
        id: as given, else made from the paths; unique: further rows of the same files get "#2", "#3".
        audio: recording, absolute, links resolved; None where the row has none.
        image: picture, likewise.
        item: rows of one item are views of one thing: any recording of it pairs
            with any picture of it. As given, else rows that share a file are one item.
        item_named: True where the manifest gives the item in this row.
        label: None where unknown.
        split: train, validation, test, or None where the manifest does not say.
        caption: one line of text; None where there is none.
        extra: further columns, as text.
        named: True where the manifest gives the id.
        refused: ``{path: reason}`` for paths that may not be read; they are None above.
    """

    number: int
    id: str
    audio: Path | None
    image: Path | None
    item: str
    label: str | None = None
    split: str | None = None
    caption: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    named: bool = False
    item_named: bool = False
    refused: dict[str, str] = field(default_factory=dict)


def read_manifest(path: str | Path, folder: Path | None = None) -> list[Row]:
    """Reads a CSV, JSONL or Parquet manifest.

    Columns: `audio` and `image` (paths relative to the manifest, either may be
    empty), optional `label`, `split`, `id`, `caption`, `item`; further columns
    are kept in `Row.extra`. Whether the files are there and sound is found out
    when they are decoded. A path that leaves the manifest's folder, also through
    ``..`` or a link, a URL, or a path of Windows is not followed: see `Row.refused`.

    Files whose bytes stand in a Parquet table are written into a folder beside it, once
    (`vqmm.data.embedded_files`). "7.0" as a label, item or id is "7", in all three formats.

    Logged as warnings: labels and items that differ by their spelling alone ("7" and "07"), words
    for an absent value ("nan"), and columns of your own whose name is near to a known one.

    Args:
        path: of the manifest.
        folder: that its paths are relative to and must lie in; the manifest's own by default.

    Raises:
        UserError: no such manifest, an unknown kind, no rows, neither an audio
            nor an image column, a misspelt column, a row without paths, ids
            given twice, an unknown split, a file with two items or two labels.
    """
    path = Path(path)
    columns, table = read_table(path, PATHS)
    check_columns(path, columns)
    if not table:
        raise UserError(f"manifest {path} is empty: it has no rows")
    folder = (folder or path.parent).resolve()
    rows = [_row(path, folder, number, cells) for number, cells in enumerate(_with_whole_numbers(table), 1)]
    rows = _with_ids(path, rows)
    _check_ids(path, rows)
    _check_files(path, rows, "label")
    for what in ("label", "item"):
        _warn_of_spellings(path, rows, what)
    rows = _with_items(rows, folder)
    _check_files(path, rows, "item")
    return rows


def _row(path: Path, folder: Path, number: int, cells: dict[str, str]) -> Row:
    if not any(name in cells for name in PATHS):
        raise UserError(f"manifest {path}: row {number} names neither a recording nor a picture")
    split = cells.get("split")
    if split is not None and split not in SPLITS:
        raise UserError(
            f"manifest {path}: row {number} has split={split!r}{nearest(split, SPLITS)}; "
            f"it is one of {', '.join(SPLITS)}, or empty"
        )
    files: dict[str, Path] = {}
    refused = {}
    for name in PATHS:
        if name in cells:
            try:
                files[name] = path_below(folder, cells[name])
            except ValueError as error:
                refused[cells[name]] = str(error)
    caption = cells.get("caption")
    return Row(
        number=number,
        id=cells.get("id") or "+".join(cells[name] for name in PATHS if name in cells),
        named="id" in cells,
        item_named="item" in cells,
        audio=files.get("audio"),
        image=files.get("image"),
        item=cells.get("item", ""),
        label=cells.get("label"),
        split=split,
        caption=None if caption is None else re.sub(r"[\r\n]+", " ", caption),
        extra={key: text for key, text in cells.items() if key not in COLUMNS},
        refused=refused,
    )


def _with_whole_numbers(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Writes whole numbers alike, however the columns of numbers in the file are written.

    A column of the user's own is changed only where all its cells are such numbers, as in a column
    of whole numbers with gaps that pandas wrote.
    """
    cells: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for name, text in row.items():
            cells[name].append(text)
    numbers = {
        name
        for name, texts in cells.items()
        if name in CLASSES or (name not in COLUMNS and all(whole_number(text) != text for text in texts))
    }
    return [
        {name: whole_number(text) if name in numbers else text for name, text in row.items()} for row in rows
    ]


def _warn_of_spellings(path: Path, rows: Sequence[Row], what: str) -> None:
    """Logs labels or items that are different by their spelling alone, and words for an absent value."""
    names = {value for row in rows if (value := getattr(row, what))}
    groups = alike(names)
    if groups:
        shown = "; ".join(", ".join(map(repr, group)) for group in groups[:SHOWN])
        more = f"; and {len(groups) - SHOWN} groups more" if len(groups) > SHOWN else ""
        log.warning(
            "manifest %s: column %r holds values that are taken as different: %s%s; write them alike if they "
            "mean one",
            path,
            what,
            shown,
            more,
        )
    for name in sorted(filter(is_absent_in_words, names)):
        count = sum(getattr(row, what) == name for row in rows)
        log.warning(
            "manifest %s: %s %r of %d rows is taken as a name; leave the cell empty where there is none",
            path,
            what,
            name,
            count,
        )


def _with_ids(path: Path, rows: Sequence[Row]) -> list[Row]:
    """Gives rows without ids that name the same files ids of their own, as five captions of one pair are."""
    numbers: dict[str, list[int]] = defaultdict(list)
    rows = list(rows)
    repeated = []
    for at, row in enumerate(rows):
        if row.named:
            continue
        same = numbers[row.id]
        if any(replace(rows[before], number=row.number, id=row.id) == row for before in same):
            repeated.append(row.number)
        same.append(at)
        if len(same) > 1:
            rows[at] = replace(row, id=f"{row.id}#{len(same)}")
    if repeated:
        shown = ", ".join(map(str, repeated[:SHOWN])) + (" …" if len(repeated) > SHOWN else "")
        log.warning("manifest %s: %d rows repeat earlier ones: %s", path, len(repeated), shown)
    return rows


def _check_ids(path: Path, rows: Iterable[Row]) -> None:
    seen: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        seen[row.id].append(row.number)
    twice = {name: numbers for name, numbers in seen.items() if len(numbers) > 1}
    if twice:
        shown = "; ".join(
            f"{name!r} in rows {', '.join(map(str, numbers))}" for name, numbers in list(twice.items())[:5]
        )
        more = f"; and {len(twice) - 5} more" if len(twice) > 5 else ""
        raise UserError(f"manifest {path}: ids must differ: {shown}{more}; rename or remove rows")


def _check_files(path: Path, rows: Iterable[Row], what: str) -> None:
    """A file is stored once, so that it can have but one item and one label."""
    first: dict[Path, Row] = {}
    for row in rows:
        value = getattr(row, what)
        for file in (row.audio, row.image):
            if file is None or not value:
                continue
            other = first.setdefault(file, row)
            if getattr(other, what) != value:
                raise UserError(
                    f"manifest {path}: {file.name} has {what} {getattr(other, what)!r} in row {other.number} "
                    f"and {value!r} in row {row.number}; one file has one {what}"
                )


def _with_items(rows: Sequence[Row], folder: Path) -> list[Row]:
    """Rows that share a file are one item: its given name, else that of its first file."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def nodes(row: Row) -> list[str]:
        files = [f"file {file.relative_to(folder)}" for file in (row.audio, row.image) if file]
        given = [f"item {row.item}"] if row.item else []
        return given + files or [f"row {row.id}"]

    for row in rows:
        first, *rest = nodes(row)
        for node in rest:
            parent[root(node)] = root(first)
    names: dict[str, str] = {}
    for row in rows:
        key = root(nodes(row)[0])
        name = row.item or names.get(key) or nodes(row)[0].split(" ", 1)[1]
        names[key] = row.item or name
    return [replace(row, item=row.item or names[root(nodes(row)[0])]) for row in rows]
