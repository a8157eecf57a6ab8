"""Turns one cell of a table into text, by the same rule for CSV, JSONL and Parquet."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from vqmm.data.embedded_files import EmbeddedFile


def cell_text(value: Any) -> str | None:
    """Returns a cell as text, or None for an empty one.

    Empty are null, NaN and text of spaces. Whole numbers are written without a point, whatever type
    held them, because columns with gaps arrive as floats. Lists and structs become JSON; dates and
    times in them ISO text. Bytes are read as UTF-8, as some writers store text.

    Raises:
        ValueError: the cell is no text: bytes that are not UTF-8, or half of a character. Its message
            goes on from the name of the column and says how to mend it.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, (Mapping, list, tuple)):
        value = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_text_within)
    text = (_decoded(value) if isinstance(value, bytes) else str(value)).strip()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"holds {text!r}, half of a character; write the text as UTF-8") from None
    return text or None


def path_cell(value: Any) -> str | EmbeddedFile | None:
    """Returns the path in a cell of a column of files, the file itself where its bytes are there, or None.

    Understood are text, the bytes of a file, and structs of Hugging Face's form, ``{bytes, path}``,
    whose path counts where they hold no bytes.

    Raises:
        ValueError: the cell holds a list, or a struct with neither; as `cell_text`.
    """
    name: Any = ""
    if isinstance(value, Mapping):
        name, content = value.get("path"), value.get("bytes")
        if not content and name is None and any(part is not None for part in value.values()):
            raise ValueError(f"holds the fields {', '.join(map(str, value))}; write one path as text there")
        value = content or name
    if isinstance(value, (list, tuple, Mapping)):
        raise ValueError("holds a list or a struct; write one path as text there, a row for each file")
    if isinstance(value, bytes) and not _is_text(value):
        return EmbeddedFile(value, name if isinstance(name, str) else "")
    return cell_text(value)


def _text_within(value: Any) -> str:
    return _decoded(value) if isinstance(value, bytes) else str(value)


def _decoded(value: bytes) -> str:
    if not _is_text(value):
        raise ValueError(
            f"holds binary values, the first of {len(value)} bytes, and a manifest keeps text; remove the "
            "column, or write its values as text"
        )
    return value.decode()


def _is_text(value: bytes) -> bool:
    """Returns whether bytes are UTF-8 without NUL, which no text has and most files do."""
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False
