"""Requests and answers of TensorFlow Serving's REST interface, as arrays.

The formats are those of https://www.tensorflow.org/tfx/serving/api_rest (Predict API).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.errors import nearest
from vqmm.serving.base64_files import read_base64
from vqmm.serving.read_json import read_json
from vqmm.serving.refused import Refused
from vqmm.value_ranges import VALUE_RANGES, out_of_range

KEYS = ("signature_name", "instances", "inputs")


class Call(NamedTuple):
    """What a request asks for.

    Attributes:
        signature: its name.
        inputs: arrays by name, of equally many rows; bytes are objects.
        by_row: whether the answer has `predictions` (rows) or `outputs` (columns).
    """

    signature: str
    inputs: dict[str, npt.NDArray[Any]]
    by_row: bool


def read_call(body: bytes, signatures: Mapping[str, Any], most_rows: int) -> Call:
    """Parses a request.

    Args:
        body: JSON with `signature_name` and `instances` (rows) or `inputs` (columns).
        signatures: as `vqmm.json` of an export describes them.
        most_rows: that it may have.

    Raises:
        Refused: 400, with what came and what is legal; 413, too many rows.
    """
    asked = read_json(body)
    if not isinstance(asked, dict):
        raise Refused(400, f"the body is {_kind(asked)}; legal: an object with 'instances' or 'inputs'")
    for key in asked:
        if key not in KEYS:
            raise Refused(
                400, f"{_short(key)!r} is no part of a request{nearest(key, KEYS)}; legal: {', '.join(KEYS)}"
            )
    name = asked.get("signature_name", "serving_default")
    if not isinstance(name, str) or name not in signatures:
        near = nearest(name, signatures) if isinstance(name, str) else ""
        raise Refused(400, f"signature_name={_short(name)!r}{near}; legal: {', '.join(signatures)}")
    if ("instances" in asked) == ("inputs" in asked):
        raise Refused(400, "the body needs either 'instances' (rows) or 'inputs' (columns)")
    specs = signatures[name]["inputs"]
    by_row = "instances" in asked
    columns = _columns(asked["instances"], specs) if by_row else _named(asked["inputs"], specs, "inputs")
    text = body.replace(b"\0", b"")  # as ASCII, whatever the coding
    booleans = b"true" in text or b"false" in text  # else no value is one, and they are not searched for
    inputs = {key: _array(key, columns[key], specs[key], booleans) for key in specs}
    counts = {key: len(array) for key, array in inputs.items()}
    if len(set(counts.values())) != 1:
        raise Refused(400, f"inputs have unequal numbers of rows: {counts}")
    rows = next(iter(counts.values()))
    if rows > most_rows:
        raise Refused(413, f"the request has {rows} rows; {most_rows} is the most: send several requests")
    if rows < 1:
        raise Refused(400, "the request has no rows; 1 is the least")
    return Call(name, inputs, by_row)


def write_answer(outputs: Mapping[str, npt.NDArray[Any]], by_row: bool) -> bytes:
    """The answer to a request, as JSON: outputs that stand alone go without their name."""
    columns = {name: value.tolist() for name, value in outputs.items()}
    alone = next(iter(columns.values())) if len(columns) == 1 else None
    if not by_row:
        return json.dumps({"outputs": columns if alone is None else alone}).encode()
    if alone is not None:
        return json.dumps({"predictions": alone}).encode()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return json.dumps({"predictions": rows}).encode()


def _columns(instances: Any, specs: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(instances, list) or not instances:
        raise Refused(400, "'instances' must be a list of one row or more")
    rows = [_named(row, specs, "a row of 'instances'") for row in instances]
    return {name: [row[name] for row in rows] for name in specs}


def _named(value: Any, specs: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """Values by name; the only input may come without its name."""
    if isinstance(value, dict) and set(value) == set(specs):
        return value
    if len(specs) == 1 and (not isinstance(value, dict) or set(value) == {"b64"}):
        return {next(iter(specs)): value}
    got = sorted(map(_short, value)) if isinstance(value, dict) else _kind(value)
    raise Refused(400, f"{what} names {got}; this signature takes {', '.join(specs)}")


def _array(name: str, value: Any, spec: Mapping[str, Any], booleans: bool) -> npt.NDArray[Any]:
    if spec["dtype"] == "string":
        return _files(name, value)
    shape = spec["shape"]
    told = f"{name} must be {spec['dtype']}[{', '.join('n' if s is None else str(s) for s in shape)}]"
    if name == "audio":
        told += ", of one channel at the model's rate"
    try:
        if booleans and _has_booleans(value):
            raise Refused(400, f"{told}; received true or false: send numbers")
        array = np.array(value)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise Refused(400, f"{told}; the lists received are of unequal lengths or too deep") from None
    whole = spec["dtype"].startswith("int")
    if array.dtype == object and not whole and _is_numeric(array):
        raise Refused(400, f"{told}; received whole numbers beyond 64 bits")
    if array.size and array.dtype.kind not in ("iu" if whole else "iuf"):
        raise Refused(400, f"{told}; received values of another kind ({array.dtype})")
    fits = array.ndim == len(shape) and all(s in (None, n) for s, n in zip(shape, array.shape, strict=True))
    if not fits:
        raise Refused(400, f"{told}; received shape {list(array.shape)}")
    if whole and array.size and (array.min() < -(2**31) or array.max() >= 2**31):
        raise Refused(400, f"{told}; received values beyond 32 bits")
    reason = out_of_range(name, array) if name in VALUE_RANGES else None
    if reason:
        raise Refused(400, reason)
    return array.astype(spec["dtype"])


def _files(name: str, value: Any) -> npt.NDArray[np.object_]:
    rows = value if isinstance(value, list) else [value]  # a single file is one row
    found = np.empty(len(rows), object)
    for row, part in enumerate(rows):
        found[row] = read_base64(part, f"{name}: row {row}")
    return found


def _has_booleans(value: Any) -> bool:
    """NumPy takes true among numbers for 1."""
    if isinstance(value, list):
        return any(map(_has_booleans, value))
    return isinstance(value, bool)


def _is_numeric(array: npt.NDArray[Any]) -> bool:
    return all(isinstance(value, int | float) for value in array.ravel())


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _short(value: Any) -> str:
    return str(value)[:80]
