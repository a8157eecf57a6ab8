"""Tables of every kind, however programs write them, end as text or as one line that names the place."""

from __future__ import annotations

import datetime
import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.data.table import read_table
from vqmm.errors import UserError

FLAT = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float16(), st.floats(width=16)),
    (pa.float64(), st.floats()),
    (pa.decimal128(20, 3), st.decimals(-1000, 1000, places=3)),
    (pa.string(), st.text(st.characters(codec="utf-8"))),
    (pa.large_string(), st.text(st.characters(codec="utf-8"))),
    (pa.binary(), st.binary()),
    (pa.large_binary(), st.binary()),
    (pa.binary(3), st.binary(min_size=3, max_size=3)),
    (pa.date32(), st.dates()),
    (pa.time64("us"), st.times()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("ns", "UTC"), st.integers(0, 2**62)),
    (pa.duration("ns"), st.integers(0, 2**62)),
    (pa.null(), st.none()),
    (pa.dictionary(pa.int32(), pa.string()), st.text(st.characters(codec="utf-8"))),
]


def _nested(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        children.map(lambda c: (pa.list_(c[0]), st.lists(c[1] | st.none(), max_size=3))),
        children.map(lambda c: (pa.struct([("bytes", c[0])]), st.fixed_dictionaries({"bytes": c[1]}))),
        children.map(lambda c: (pa.struct([("path", c[0])]), st.fixed_dictionaries({"path": c[1]}))),
        children.map(lambda c: (pa.map_(pa.string(), c[0]), st.dictionaries(st.just("key"), c[1]))),
    )


TYPES = st.recursive(st.sampled_from(FLAT), _nested, max_leaves=3)


@settings(max_examples=300)
@given(st.data())
def test_any_type_of_parquet_is_text_or_one_line(data: st.DataObject) -> None:
    kind, values = data.draw(TYPES)
    name = data.draw(st.sampled_from(["audio", "mine"]))
    cells = data.draw(st.lists(values | st.none(), min_size=1, max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.parquet"
        table = pa.table({name: pa.array(cells, kind), "id": [str(i) for i in range(len(cells))]})
        try:
            pq.write_table(table, path)
        except (pa.ArrowException, NotImplementedError):
            return  # no type of Parquet's
        try:
            rows = read_table(path, ("audio",)).rows
        except UserError as error:
            assert "\n" not in str(error) and str(path) in str(error)
            return
        assert [row["id"] for row in rows] == [str(i) for i in range(len(cells))]
        for row in rows:
            json.dumps(row).encode()
            if name == "audio" and name in row and row[name].startswith("m-files/"):
                assert (path.parent / row[name]).is_file()


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (7.0, pa.float32(), "7"),
        (Decimal("7.00"), pa.decimal128(5, 2), "7"),
        (Decimal("7.25"), pa.decimal128(5, 2), "7.25"),
        (True, pa.bool_(), "True"),
        (b"a cat", pa.binary(), "a cat"),
        ([datetime.date(2024, 1, 1)], pa.list_(pa.date32()), '["2024-01-01"]'),
        (float("nan"), pa.float64(), None),
        (None, pa.int8(), None),
    ],
)
def test_cells_of_parquet_as_text(tmp_path: Path, value: Any, kind: pa.DataType, text: str | None) -> None:
    pq.write_table(pa.table({"x": pa.array([value], kind)}), tmp_path / "m.parquet")
    assert read_table(tmp_path / "m.parquet").rows == [{} if text is None else {"x": text}]


def _refused(path: Path, *files: str) -> str:
    with pytest.raises(UserError) as caught:
        read_table(path, files)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_no_text_can_say_is_named_by_row_and_column(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"x": [b"a", b"\xff\x00"]}), path)
    assert "column 'x' of row 2 holds binary values" in _refused(path)
    pq.write_table(pa.table({"audio": [["a.wav", "b.wav"]]}), path)
    assert "column 'audio' of row 1 holds a list" in _refused(path, "audio")
    pq.write_table(pa.table({"audio": [{"array": [0.5], "rate": 8000}]}), path)
    assert "column 'audio' of row 1 holds the fields array, rate" in _refused(path, "audio")


def test_folders_named_as_partitions_add_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "label=3"
    folder.mkdir()
    pq.write_table(pa.table({"audio": ["a.wav"]}), folder / "m.parquet")
    assert read_table(folder / "m.parquet").columns == ["audio"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_of_jsonl_end_at_line_feeds_alone(tmp_path: Path, end: str) -> None:
    path = tmp_path / "m.jsonl"
    odd = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    lines = ["\ufeff" + json.dumps({"x": odd}, ensure_ascii=False), "", "  ", json.dumps({"x": "2"}), ""]
    path.write_bytes(end.join(lines).encode())
    assert read_table(path).rows == [{"x": odd}, {"x": "2"}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"x": y}', "line 5 is not valid JSON: Expecting value at character 7"),
        ('{"x": "a', "line 5 is not valid JSON: Unterminated string"),
        ("[1]", "line 5 is [1]; each line holds one JSON object"),
        ('{"x": "1", "x": "2"}', "line 5 cannot be read: 'x' is named twice"),
        ('{"x": ' + "9" * 5000 + "}", "line 5 cannot be read"),
        ("[" * 100_000, "line 5 "),
        ('{"x": "\\ud800"}', "column 'x' of row 3 holds"),
    ],
)
def test_a_bad_line_of_jsonl_is_named_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"x": "1"}\n\n{"x": "a\u2028b"}\n\n' + line + "\n", encoding="utf-8")
    assert message in _refused(path)


@pytest.mark.parametrize(
    "text",
    [
        'audio,label\n"a,b.wav",7\n',
        'sep=;\r\naudio;label\r\n"a,b.wav";7\r\n',
        '"sep=;"\r\naudio;label\r\n"a,b.wav";7\r\n',
        'audio;label\n"a,b.wav";7\n',
        "audio\tlabel\na,b.wav\t7\n",
        "audio|label\na,b.wav|7\n",
        '\ufeff"audio";"label"\n"a,b.wav";"7"\n',
        "audio;label;;\na,b.wav;7;;\n",
        ";audio;label\n0;a,b.wav;7\n",
        'Unnamed: 0,audio,label\n5,"a,b.wav",7\n',
        'audio,label\r"a,b.wav",7\r',
        'audio,label\n"a,b.wav",7,,\n',
    ],
)
def test_csv_of_many_programs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(text.encode())
    assert read_table(path, ("audio",)) == (["audio", "label"], [{"audio": "a,b.wav", "label": "7"}])


def test_the_index_of_pandas_goes_and_other_columns_stay(tmp_path: Path) -> None:
    numbers = pa.table({"audio": ["a.wav", "b.wav"], "__index_level_0__": [3, 9]})
    pq.write_table(numbers, tmp_path / "m.parquet")
    assert read_table(tmp_path / "m.parquet").columns == ["audio"]
    names = pa.table({"audio": ["a.wav", "b.wav"], "__index_level_0__": ["x", "y"]})
    pq.write_table(names, tmp_path / "m.parquet")
    assert read_table(tmp_path / "m.parquet").rows[1] == {"audio": "b.wav", "__index_level_0__": "y"}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"audio,label,\na.wav,7,left\n", "column 3 has no name and holds 'left'"),
        (b",audio\nx,a.wav\n", "a column without a name holds 'x'"),
        (b"audio,label\na.wav,7,8\n", "row 1 has more cells than the heading (line 2)"),
        (b"audio\n\na.wav\n\xe9.wav\n", "line 4 is not UTF-8 (byte 0xe9)"),
        (b'audio\na.wav\n"b.wav\n', "line 3 cannot be read as csv"),
        ("audio\na.wav\n".encode("utf-16"), "is UTF-16"),
        ("audio\na.wav\n".encode("utf-16-be"), "is UTF-16"),
        ("audio\na.wav\n".encode("utf-32"), "is UTF-32"),
    ],
)
def test_what_is_wrong_with_a_csv_file(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "m.csv").write_bytes(raw)
    assert message in _refused(tmp_path / "m.csv")
