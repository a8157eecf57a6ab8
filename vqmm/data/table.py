"""Reads CSV, JSONL and Parquet tables as text."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.errors import UserError


class Table(NamedTuple):
    """Columns in order, and the filled cells of each row."""

    columns: list[str]
    rows: list[dict[str, str]]


def read_table(path: str | Path) -> Table:
    """Reads a table whose cells are text.

    Empty cells (also null and NaN) are left out. Numbers become text, whole ones
    without a point: columns with gaps arrive as floats.

    Raises:
        UserError: no such file, an unknown kind, or not readable as its kind.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"manifest {path} ends in {path.suffix!r}; it is one of {', '.join(readers)}")
    if not path.is_file():
        raise UserError(f"manifest {path}: no such file")
    columns, rows = _guarded(path, reader)
    filled = [{key: text for key, value in row.items() if (text := _text(value)) is not None} for row in rows]
    return Table(columns, filled)


Raw = tuple[list[str], list[dict[str, Any]]]


def _guarded(path: Path, reader: Callable[[Path], Raw]) -> Raw:
    try:
        return reader(path)
    except UserError:
        raise
    except Exception as error:  # damaged files raise what the csv, json and arrow readers please
        said = " ".join(str(error).split())
        raise UserError(f"manifest {path} cannot be read as {path.suffix[1:]}: {said}") from None


def _read_csv(path: Path) -> Raw:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        table = list(reader)
        columns = [name.strip() for name in reader.fieldnames or []]
    for number, values in enumerate(table, 1):
        if None in values:
            raise UserError(f"manifest {path}: row {number} has more cells than the heading; quote commas")
    return columns, [{key.strip(): value for key, value in values.items()} for values in table]


def _read_jsonl(path: Path) -> Raw:
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    table = [json.loads(line) for line in lines]
    for number, values in enumerate(table, 1):
        if not isinstance(values, dict):
            raise UserError(f"manifest {path}: row {number} is {values!r}; each line holds one JSON object")
    return list(dict.fromkeys(key for values in table for key in values)), table


def _read_parquet(path: Path) -> Raw:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    return list(table.column_names), table.to_pylist()


def _text(value: Any) -> str | None:
    """A cell as text; None for an empty one."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, (dict, list)):
        value = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return str(value).strip() or None
