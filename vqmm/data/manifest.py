"""The manifest: a table that names recordings and pictures and says what belongs together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vqmm.data.shards import SPLITS
from vqmm.data.table import read_table
from vqmm.errors import UserError, nearest

PATHS = ("audio", "image")
COLUMNS = (*PATHS, "label", "split", "id", "caption", "item")


@dataclass(frozen=True)
class Row:
    """One row of a manifest.

    Attributes:
        number: of the row, from 1, the heading not counted.
        id: as given, else made from the paths; unique.
        audio: recording, absolute, links resolved; None where the row has none.
        image: picture, likewise.
        item: rows of one item are views of one thing: any recording of it pairs
            with any picture of it. As given, else rows that share a file are one item.
        item_named: True where the manifest gives the item in this row.
        label: None where unknown.
        split: train, validation, test, or None where the manifest does not say.
        caption: None where there is none.
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
    ``..`` or a link, is not followed: see `Row.refused`.

    Args:
        path: of the manifest.
        folder: that its paths are relative to and must lie in; the manifest's own by default.

    Raises:
        UserError: no such manifest, an unknown kind, no rows, neither an audio
            nor an image column, a misspelt column, a row without paths, ids
            given twice, an unknown split, a file with two items or two labels.
    """
    path = Path(path)
    columns, table = read_table(path)
    _check_columns(path, columns)
    if not table:
        raise UserError(f"manifest {path} is empty: it has no rows")
    folder = (folder or path.parent).resolve()
    rows = [_row(path, folder, number, cells) for number, cells in enumerate(table, 1)]
    _check_ids(path, rows)
    _check_files(path, rows, "label")
    rows = _with_items(rows, folder)
    _check_files(path, rows, "item")
    return rows


def _check_columns(path: Path, columns: list[str]) -> None:
    """A column near to a known, absent one is a slip of the pen; others are the user's own."""
    if not columns:
        raise UserError(f"manifest {path} is empty: it has neither heading nor rows")
    if len(set(columns)) < len(columns):
        raise UserError(f"manifest {path}: a column is named twice: {', '.join(columns)}")
    for column in columns:
        hint = nearest(column.lower(), [known for known in COLUMNS if known not in columns])
        alike = column.lower() in COLUMNS or (hint and _one_slip(column.lower(), hint.split("'")[1]))
        if column not in COLUMNS and alike:
            raise UserError(f"manifest {path}: unknown column {column!r}{hint}; known: {', '.join(COLUMNS)}")
    if not set(PATHS) & set(columns):
        hints = "".join(nearest(column.lower(), PATHS) for column in columns)
        raise UserError(
            f"manifest {path} has the columns {', '.join(columns)}{hints}; it needs 'audio', 'image' or both"
        )


def _one_slip(word: str, known: str) -> bool:
    """True where one letter was added, left out, changed or swapped."""
    if sorted(word) == sorted(known):
        return True
    if abs(len(word) - len(known)) > 1 or min(len(word), len(known)) < 4:
        return False
    short, long = sorted((word, known), key=len)
    cut = [long[:i] + long[i + 1 :] for i in range(len(long))]
    if len(short) < len(long):
        return short in cut
    return sum(a != b for a, b in zip(short, long, strict=True)) == 1


def _row(path: Path, folder: Path, number: int, cells: dict[str, str]) -> Row:
    if not any(name in cells for name in PATHS):
        raise UserError(f"manifest {path}: row {number} names neither a recording nor a picture")
    split = cells.get("split")
    if split is not None and split not in SPLITS:
        raise UserError(
            f"manifest {path}: row {number} has split={split!r}{nearest(split, SPLITS)}; "
            f"it is one of {', '.join(SPLITS)}, or empty"
        )
    files: dict[str, Path | None] = {}
    refused = {}
    for name in PATHS:
        files[name] = _inside(folder, cells[name]) if name in cells else None
        if name in cells and files[name] is None:
            refused[cells[name]] = (
                "leaves the manifest's folder, not read; move the file there, or the manifest above it"
            )
    return Row(
        number=number,
        id=cells.get("id") or "+".join(cells[name] for name in PATHS if name in cells),
        named="id" in cells,
        item_named="item" in cells,
        audio=files["audio"],
        image=files["image"],
        item=cells.get("item", ""),
        label=cells.get("label"),
        split=split,
        caption=cells.get("caption"),
        extra={key: text for key, text in cells.items() if key not in COLUMNS},
        refused=refused,
    )


def _inside(folder: Path, name: str) -> Path | None:
    try:
        path = (folder / name).resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL byte, a name too long, a link to itself
        return None
    return path if path.is_relative_to(folder) else None


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
