"""What an index knows about its items besides their codes: a table in memory, Parquet on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from vqmm.errors import UserError, nearest
from vqmm.retrieval.protocol import Item, Where
from vqmm.tokens import MODALITIES

KEY = ("modality", "split", "id")
Rows = npt.NDArray[np.int64]


class ItemTable:
    """Rows in the order of addition; removed ones keep their place and are marked.

    Args:
        table: columns of strings, `KEY` among them.
        removed: bool[rows]; None: none is.

    Raises:
        ValueError: a column of `KEY` is missing.
    """

    def __init__(self, table: pyarrow.Table | None = None, removed: npt.NDArray[np.bool_] | None = None):
        if table is None:
            table = pyarrow.table({name: pyarrow.array([], pyarrow.string()) for name in KEY})
        if not set(KEY) <= set(table.column_names):
            raise ValueError(f"items have columns {table.column_names}")
        self._table = table
        self.removed = np.zeros(table.num_rows, bool) if removed is None else removed

    def __len__(self) -> int:
        return len(self.removed)

    @classmethod
    def from_parquet(cls, parts: Sequence[npt.NDArray[np.uint8]], removed: Rows) -> Self:
        """Reads what `parquet` wrote, part after part.

        Args:
            parts: content of the files.
            removed: rows that are marked.
        """
        read = [pyarrow.parquet.read_table(pyarrow.BufferReader(pyarrow.py_buffer(part))) for part in parts]
        table = pyarrow.concat_tables(read, promote_options="default")
        mask = np.zeros(table.num_rows, bool)
        mask[removed] = True
        return cls(table, mask)

    def parquet(self, start: int) -> bytes:
        """The rows from `start` on as a Parquet file."""
        part = self._table.slice(start)
        sink = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(part, sink)
        return sink.getvalue().to_pybytes()

    def keep(self, rows: Rows) -> Self:
        """A table of some rows, none of them marked."""
        return type(self)(self._table.take(pyarrow.array(rows)))

    def append(
        self, ids: Sequence[str], modality: str, split: str, metadata: Mapping[str, Sequence[str]]
    ) -> None:
        """Adds rows; columns that some rows lack are null there."""
        columns = {"modality": [modality] * len(ids), "split": [split] * len(ids), "id": ids, **metadata}
        rows = pyarrow.table({name: pyarrow.array(v, pyarrow.string()) for name, v in columns.items()})
        self._table = pyarrow.concat_tables([self._table, rows], promote_options="default")
        self.removed = np.concatenate([self.removed, np.zeros(len(ids), bool)])

    def positions(self, ids: Sequence[str], modality: str | None, split: str | None) -> dict[str, list[int]]:
        """Rows that some names have and that are not removed, by name."""
        mask = self._mask({} if split is None else {"split": split}, modality)
        found = pyarrow.compute.is_in(self._table["id"], pyarrow.array(list(ids), pyarrow.string()))
        rows = np.flatnonzero(mask & found.to_numpy(zero_copy_only=False))
        names = self._table["id"].take(pyarrow.array(rows)).to_pylist()
        held: dict[str, list[int]] = {}
        for row, name in zip(rows.tolist(), names, strict=True):
            held.setdefault(name, []).append(row)
        return held

    def named(self, ids: Sequence[str], modality: str | None, split: str | None) -> list[int]:
        """Rows that all these names have.

        Raises:
            UserError: a name that no row has.
        """
        if modality is not None:
            check_modality(modality)
        names = dict.fromkeys(ids)
        held = self.positions(list(names), modality, split)
        missing = [name for name in names if name not in held]
        if missing:
            shown = ", ".join(map(repr, missing[:5])) + (" …" if len(missing) > 5 else "")
            raise UserError(
                f"the index holds no {shown} ({len(missing)} of {len(names)} names); nothing is removed"
            )
        return [row for rows in held.values() for row in rows]

    def select(self, modality: str | None, where: Where | None = None) -> Rows:
        """Rows that meet all conditions and are not removed, in order.

        Raises:
            UserError: no such modality, or a column that the items do not have.
        """
        return np.flatnonzero(self._mask(where or {}, modality))

    def counts(self) -> dict[str | None, int]:
        """Numbers of items of each modality, and of all under None; removed ones do not count."""
        counts: dict[str | None, int] = {name: len(self.select(name)) for name in MODALITIES}
        return counts | {None: len(self) - int(self.removed.sum())}

    def describe(self, positions: Rows) -> list[Item]:
        """The items of some rows; a column that one lacks is ""."""
        if self._table["id"].num_chunks > 1:  # `take` would join the parts at every call
            self._table = self._table.combine_chunks()
        rows = self._table.take(pyarrow.array(positions)).to_pylist()
        return [
            Item(row.pop("id"), row.pop("modality"), row.pop("split"), {k: v or "" for k, v in row.items()})
            for row in rows
        ]

    def _mask(self, where: Where, modality: str | None) -> npt.NDArray[np.bool_]:
        conditions = dict(where)
        if modality is not None:
            check_modality(modality)
            conditions["modality"] = modality if "modality" not in where else _both(where, modality)
        mask = ~self.removed
        for column, wanted in conditions.items():
            if column not in self._table.column_names:
                legal = self._table.column_names
                raise UserError(
                    f"items have no {column!r}{nearest(column, legal)}; they have {', '.join(sorted(legal))}"
                )
            values = [wanted] if isinstance(wanted, str) else list(wanted)
            column_is = pyarrow.compute.is_in(self._table[column], pyarrow.array(values, pyarrow.string()))
            met = column_is.to_numpy(zero_copy_only=False)
            mask &= met | self._has_line(column, values)
        return mask

    def _has_line(self, column: str, values: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Finds rows that have one of the values among several lines, as items with several captions do."""
        texts, compute = self._table[column], pyarrow.compute
        found = np.zeros(len(self), bool)
        if compute.any(compute.match_substring(texts, "\n")).as_py():
            framed = compute.binary_join_element_wise("\n", texts, "\n", "")
            for value in values:
                has = compute.fill_null(compute.match_substring(framed, f"\n{value}\n"), False)
                found |= has.to_numpy(zero_copy_only=False)
        return found


def checked_columns(
    ids: Sequence[str], metadata: Mapping[str, Sequence[str]], n: int
) -> tuple[list[str], dict[str, list[str]]]:
    """Ids and further columns of n items, as strings.

    Raises:
        UserError: a column of another length, or with a name of `KEY`.
    """
    columns = {name: [str(v) for v in values] for name, values in metadata.items()}
    lengths = {"ids": len(ids), **{name: len(values) for name, values in columns.items()}}
    wrong: dict[str, int | str] = {name: length for name, length in lengths.items() if length != n}
    wrong |= {name: "reserved" for name in columns if name in KEY}
    if wrong:
        raise UserError(f"adding {n} items: {wrong} (each column has one value an item)")
    return [str(i) for i in ids], columns


def check_modality(modality: str) -> None:
    """Refuses what is no modality.

    Raises:
        UserError: naming the legal ones.
    """
    if modality not in MODALITIES:
        raise UserError(f"modality={modality!r}; legal: {', '.join(MODALITIES)}")


def _both(where: Where, modality: str) -> list[str]:
    asked = where["modality"]
    return [modality] if modality in ([asked] if isinstance(asked, str) else asked) else []
