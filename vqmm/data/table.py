"""Reads CSV, JSONL and Parquet tables as text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.data.cell_text import cell_text, path_cell
from vqmm.data.embedded_files import EmbeddedFile, write_embedded
from vqmm.errors import UserError

# Names under which pandas stores the numbers of its rows.
INDEX_NAMES = ("", "Unnamed: 0", "__index_level_0__")
ROWS_AT_A_TIME = 1000  # of Parquet files, whose cells may be whole recordings
DELIMITERS = (",", ";", "\t", "|")
# Longest first: the mark of UTF-32 begins with that of UTF-16.
MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class Table(NamedTuple):
    """A table of text.

    Attributes:
        columns: their names, in order.
        rows: the filled cells of each row, by column.
    """

    columns: list[str]
    rows: list[dict[str, str]]


class RawTable(NamedTuple):
    """A table as its file has it.

    Attributes:
        columns: their names, in order.
        rows: the cells of each row, of any type, by column; read once.
    """

    columns: list[str]
    rows: Iterable[dict[str, Any]]


def read_table(path: str | Path, files: Collection[str] = ()) -> Table:
    """Reads a table whose cells are text.

    Empty cells (also null and NaN) are left out; `cell_text` has the rule for the others. A column
    that holds nothing but the numbers of the rows, as pandas writes it, is dropped, and so are
    columns without name and content, as Excel writes them. A CSV file may be separated by commas,
    semicolons, tabs or bars.

    Args:
        path: CSV, JSONL or Parquet, by its ending.
        files: columns that hold paths, or files themselves, which are written beside the table; see
            `path_cell` and `write_embedded`.

    Raises:
        UserError: no such file, an unknown kind, not readable as its kind, not UTF-8, or a cell
            that is no text. The message names the line, or the row and column.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"manifest {path} ends in {path.suffix!r}; it is one of {', '.join(readers)}")
    if not path.is_file():
        raise UserError(f"manifest {path}: no such file")
    return _guarded(path, lambda: _as_text(path, reader(path), files))


def _guarded(path: Path, read: Callable[[], Table]) -> Table:
    try:
        return read()
    except UserError:
        raise
    except Exception as error:  # damaged files raise what the csv, json and arrow readers please
        if isinstance(error, OSError) and error.errno is not None:
            raise  # about this machine, not about what the file holds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"manifest {path} cannot be read as {path.suffix[1:]}: {reason}") from None


def _as_text(path: Path, raw: RawTable, files: Collection[str]) -> Table:
    columns = [name.strip() for name in raw.columns]
    rows: list[dict[str, str]] = []
    for number, values in enumerate(raw.rows, 1):
        cells = {}
        for name, value in values.items():
            try:
                text = path_cell(value) if name.strip() in files else cell_text(value)
            except ValueError as error:
                raise UserError(f"manifest {path}: column {name!r} of row {number} {error}") from None
            if isinstance(text, EmbeddedFile):
                text = write_embedded(path, text)
            if text is not None:
                cells[name.strip()] = text
        rows.append(cells)
    return _without_index(path, Table(columns, rows))


def _without_index(path: Path, table: Table) -> Table:
    """Drops the column in which pandas keeps the numbers of rows, and columns without a name."""
    dropped = set()
    for name in INDEX_NAMES:
        if name not in table.columns:
            continue
        cells = [row[name] for row in table.rows if name in row]
        if all(cell.isascii() and cell.isdigit() for cell in cells):
            dropped.add(name)
        elif not name:
            raise UserError(
                f"manifest {path}: a column without a name holds {cells[0]!r}; name it in the heading, or "
                "remove it"
            )
    return Table(
        [name for name in table.columns if name not in dropped],
        [{name: text for name, text in row.items() if name not in dropped} for row in table.rows],
    )


def _read_csv(path: Path) -> RawTable:
    text = _utf8(path)
    if named := re.match(r'"?sep=(.)"?(?:\r\n|\r|\n)', text):  # Excel's own first line
        text = text[named.end() :]
    delimiter = named[1] if named else _delimiter(text)
    skipped = 1 if named else 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines = _csv_lines(path, reader, skipped)
    columns = [name.strip() for name in next(lines, CsvLine(0, [])).cells]
    rows = []
    for number, line in enumerate(lines, 1):
        if any(cell.strip() for cell in line.cells[len(columns) :]):
            raise UserError(
                f"manifest {path}: row {number} has more cells than the heading (line {line.number}); quote "
                f"cells that hold {delimiter!r}"
            )
        rows.append(line.cells[: len(columns)])
    kept = [at for at, name in enumerate(columns) if name or any(_filled(rows, at))]
    if sum(not columns[at] for at in kept) > 1 or any(not columns[at] for at in kept[1:]):
        at = next(at for at in reversed(kept) if not columns[at])
        raise UserError(
            f"manifest {path}: column {at + 1} has no name and holds {next(_filled(rows, at))!r}; name it in "
            "the heading, or remove it"
        )
    named_cells = [{columns[at]: cells[at] for at in kept if at < len(cells)} for cells in rows]
    return RawTable([columns[at] for at in kept], named_cells)


def _filled(rows: Sequence[Sequence[str]], at: int) -> Iterator[str]:
    """Yields the filled cells of one column."""
    return (cells[at].strip() for cells in rows if at < len(cells) and cells[at].strip())


class CsvLine(NamedTuple):
    """One row of a CSV file.

    Attributes:
        number: of the line on which the row ends, from 1.
        cells: as text.
    """

    number: int
    cells: list[str]


def _csv_lines(path: Path, reader: Any, skipped: int) -> Iterator[CsvLine]:
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(
                f"manifest {path}: line {reader.line_num + skipped} cannot be read as csv: {error}; write it "
                "anew with a program that quotes cells"
            ) from None
        if cells:
            yield CsvLine(reader.line_num + skipped, cells)


def _delimiter(text: str) -> str:
    """Finds what separates the cells: that by which the heading has a column of files, else a comma."""
    heading = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0]
    for delimiter in DELIMITERS:
        names = {name.strip(' "').lower() for name in heading.split(delimiter)}
        if names & {"audio", "image"}:
            return delimiter
    return DELIMITERS[0]


def _read_jsonl(path: Path) -> RawTable:
    table = []
    for number, line in enumerate(_utf8(path).split("\n"), 1):  # other line ends may stand inside strings
        if not line.strip(" \t\r"):
            continue
        try:
            values = json.loads(line, object_pairs_hook=_once)
        except json.JSONDecodeError as error:
            raise UserError(
                f"manifest {path}: line {number} is not valid JSON: {error.msg} at character "
                f"{error.pos + 1}; each line holds one JSON object"
            ) from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"manifest {path}: line {number} cannot be read: {error}") from None
        if not isinstance(values, dict):
            raise UserError(f"manifest {path}: line {number} is {line[:80]}; each line holds one JSON object")
        table.append(values)
    return RawTable(list(dict.fromkeys(key for values in table for key in values)), table)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes the dict of a JSON object, of whose values none is lost."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is named twice; name each column once, several values as a list")
    return values


def _read_parquet(path: Path) -> RawTable:
    import pyarrow.parquet

    # Not `read_table`, which would add columns that the names of the folders state.
    file = pyarrow.parquet.ParquetFile(path)
    batches = file.iter_batches(ROWS_AT_A_TIME)
    return RawTable(list(file.schema_arrow.names), (row for batch in batches for row in batch.to_pylist()))


def _utf8(path: Path) -> str:
    raw = path.read_bytes()
    encoding = next((name for mark, name in MARKS.items() if raw.startswith(mark)), None)
    if encoding is None and b"\0" in raw[:1000]:
        encoding = "UTF-16, or no text at all"
    if encoding is not None:
        raise UserError(
            f"manifest {path} is {encoding}; it is read as UTF-8: save it as 'CSV UTF-8', or convert it with "
            "iconv -f UTF-16 -t UTF-8"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"manifest {path} cannot be read as {path.suffix[1:]}: line {line} is not UTF-8 (byte "
            f"0x{raw[error.start]:02x}); save it as UTF-8"
        ) from None
