"""Manifests of every kind read alike; each mistake in one has its own message."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vqmm.data.manifest import read_manifest
from vqmm.errors import UserError

ROWS = [
    {"audio": "a/cat1.wav", "image": "i/cat.png", "label": "7", "split": "train", "language": "en"},
    {"audio": "a/cat2.wav", "image": "i/cat.png", "label": "7", "split": "train", "caption": "a cat, asleep"},
    {"audio": "", "image": "i/dog.png", "label": "", "split": "test", "id": "dog"},
    {"audio": "a/hum.ogg", "image": "", "split": ""},
]
COLUMNS = ["audio", "image", "label", "split", "id", "caption", "language"]


def _csv(folder: Path, *lines: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_manifest(path)
    return str(caught.value)


def test_csv_jsonl_and_parquet_say_the_same(tmp_path: Path) -> None:
    full = [{column: row.get(column) or None for column in COLUMNS} for row in ROWS]
    quoted = [",".join(f'"{row[column] or ""}"' for column in COLUMNS) for row in full]
    paths = [_csv(tmp_path, "\ufeff" + ",".join(COLUMNS), *quoted)]
    paths.append(tmp_path / "m.jsonl")
    numbers = [row | {"label": 7.0} if row.get("label") else row for row in ROWS]
    paths[-1].write_text("\n".join(json.dumps(row) for row in numbers) + "\n\n")
    paths.append(tmp_path / "m.parquet")
    pq.write_table(pa.Table.from_pylist(full), paths[-1])
    first, *others = [read_manifest(path) for path in paths]
    assert all(other == first for other in others)
    cat, cat2, dog, hum = first
    assert (cat.audio, cat.image) == (tmp_path / "a/cat1.wav", tmp_path / "i/cat.png")
    assert cat.item == cat2.item and len({cat.item, dog.item, hum.item}) == 3
    assert (cat.label, dog.label, cat.split, hum.split) == ("7", None, "train", None)
    assert (cat2.caption, cat.extra, dog.id, dog.named) == ("a cat, asleep", {"language": "en"}, "dog", True)
    assert (
        cat.id == "a/cat1.wav+i/cat.png" and not cat.named and [row.number for row in first] == [1, 2, 3, 4]
    )


def test_items_join_through_shared_files_and_given_names(tmp_path: Path) -> None:
    rows = read_manifest(
        _csv(
            tmp_path,
            "audio,image,item",
            "1.wav,x.png,",
            "2.wav,y.png,",
            "2.wav,x.png,",  # joins the two above
            "3.wav,,cat",
            ",z.png,cat",
            "4.wav,z.png,",  # joins cat
            "5.wav,,",
        )
    )
    items = [row.item for row in rows]
    assert items[0] == items[1] == items[2] and items[3] == items[4] == items[5] == "cat"
    assert len(set(items)) == 3


@pytest.mark.parametrize(
    "name", ["../secret.wav", "/etc/passwd", "a/../../secret.wav", "link.wav", "door/x.wav"]
)
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (tmp_path / "secret.wav").touch()
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    (folder / "door").symlink_to(tmp_path)
    (row,) = read_manifest(_csv(folder, "audio,image", f"{name},x.png"))
    assert row.audio is None and row.image == folder / "x.png"
    assert "leaves the manifest's folder" in row.refused[name]


def test_absolute_paths_and_links_that_stay_inside_are_fine(tmp_path: Path) -> None:
    (tmp_path / "real.wav").touch()
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    rows = read_manifest(_csv(tmp_path, "audio", f"{tmp_path}/a/../b.wav", "link.wav"))
    assert [row.audio for row in rows] == [tmp_path / "b.wav", tmp_path / "real.wav"]
    assert not any(row.refused for row in rows)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "neither heading nor rows|is empty"),
        (["audio,image"], "is empty: it has no rows"),
        (["sound,picture", "a.wav,b.png"], "it needs 'audio', 'image' or both"),
        (["audio,imgae", "a.wav,b.png"], r"unknown column 'imgae' \(did you mean 'image'\?\)"),
        (["audio,Image", "a.wav,b.png"], r"unknown column 'Image' \(did you mean 'image'\?\)"),
        (["audio,image,lable", "a.wav,b.png,3"], r"unknown column 'lable' \(did you mean 'label'\?\)"),
        (["audio,audio", "a.wav,b.wav"], "named twice"),
        (["audio,image", "a.wav,b.png", ","], "row 2 names neither"),
        (["audio,image", "a.wav,b.png,c"], "row 1 has more cells"),
        (["audio,split", "a.wav,trian"], r"row 1 has split='trian' \(did you mean 'train'\?\)"),
        (["audio,id", "a.wav,x", "b.wav,y", "c.wav,x"], "'x' in rows 1, 3"),
        (["audio,id", "a.wav,b.wav", "b.wav,"], r"'b\.wav' in rows 1, 2"),
        (["audio,item,id", "a.wav,x,1", "a.wav,y,2"], "a.wav has item 'x' in row 1 and 'y' in row 2"),
        (
            ["audio,image,item", "a.wav,p.png,x", "b.wav,p.png,", "b.wav,q.png,y"],
            "item 'x' in row 1 and 'y' in",
        ),
        (
            ["audio,image,label", "a.wav,p.png,1", "b.wav,p.png,2"],
            "p.png has label '1' in row 1 and '2' in row 2",
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, lines: list[str], message: str) -> None:
    path = _csv(tmp_path, *lines)
    with pytest.raises(UserError, match=message):
        read_manifest(path)


def test_columns_of_the_users_own_are_kept_even_when_they_look_a_little_alike(tmp_path: Path) -> None:
    (row,) = read_manifest(_csv(tmp_path, "audio,kind,title,splits_of_wood", "a.wav,k,t,s"))
    assert row.extra == {"kind": "k", "title": "t", "splits_of_wood": "s"}


def test_files_that_are_no_manifest(tmp_path: Path) -> None:
    assert "no such file" in _refused(tmp_path / "absent.csv")
    (tmp_path / "a.xlsx").touch()
    assert ".csv, .jsonl, .parquet" in _refused(tmp_path / "a.xlsx")
    (tmp_path / "a.parquet").write_text("nonsense")
    assert "cannot be read as parquet" in _refused(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text('{"audio": "a.wav"}\n[1]\n')
    assert "line 2 is [1]" in _refused(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_text('{"audio": ')
    assert "line 1 is not valid JSON" in _refused(tmp_path / "b.jsonl")
    (tmp_path / "latin.csv").write_bytes("audio\ncaf\u00e9.wav\n".encode("latin-1"))
    assert "cannot be read as csv" in _refused(tmp_path / "latin.csv")


def _warnings(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.levelname == "WARNING")


def test_a_label_is_one_class_however_a_format_writes_its_number(tmp_path: Path) -> None:
    _csv(tmp_path, "audio,label,item,year", "a.wav,7.0,1.0,2020.0", "b.wav,,,", "c.wav, 7,1,2021.0")
    lines = [
        '{"audio": "a.wav", "label": 7, "item": 1.0, "year": 2020}',
        '{"audio": "b.wav", "label": NaN, "item": null}',
        '{"audio": "c.wav", "label": "7.0", "item": "1", "year": 2021.0}',
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    table = {"audio": ["a.wav", "b.wav", "c.wav"], "label": [7.0, None, 7.0], "item": [1, None, 1]}
    pq.write_table(pa.table(table | {"year": [2020.0, float("nan"), 2021.0]}), tmp_path / "m.parquet")
    for name in ("manifest.csv", "m.jsonl", "m.parquet"):
        rows = read_manifest(tmp_path / name)
        assert [row.label for row in rows] == ["7", None, "7"]
        assert [row.item for row in rows] == ["1", "b.wav", "1"]
        assert [row.extra for row in rows] == [{"year": "2020"}, {}, {"year": "2021"}]


def test_versions_and_codes_with_zeros_keep_them(tmp_path: Path) -> None:
    rows = read_manifest(_csv(tmp_path, "audio,label,version", "1.wav,007,1.0", "2.wav,7.5,1.1"))
    assert [row.label for row in rows] == ["007", "7.5"]
    assert [row.extra["version"] for row in rows] == ["1.0", "1.1"]


@pytest.mark.parametrize(
    ("labels", "warned"),
    [
        (["7", "07"], "'label' holds values that are taken as different: '07', '7'"),
        (["True", "true", "TRUE"], "'TRUE', 'True', 'true'"),
        (["caf\u00e9", "cafe\u0301"], "taken as different"),
        (["a  b", "a b"], "'a  b', 'a b'"),
        (["nan", "nan", "3"], "label 'nan' of 2 rows is taken as a name"),
        (["7", "7.5", "8", "7"], ""),
    ],
)
def test_spellings_of_one_label_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, labels: list[str], warned: str
) -> None:
    lines = [f"{number}.wav,{label}" for number, label in enumerate(labels)]
    rows = read_manifest(_csv(tmp_path, "audio,label", *lines))
    assert [row.label for row in rows] == labels
    assert warned in _warnings(caplog) and bool(_warnings(caplog)) == bool(warned)


@pytest.mark.parametrize(
    ("column", "warned"),
    [("time", False), ("emit", False), ("items", True), ("audit", True), ("labels", True), ("lab", False)],
)
def test_a_column_that_may_be_the_users_own_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, warned: bool
) -> None:
    (row,) = read_manifest(_csv(tmp_path, f"image,{column}", "a.png,3"))
    assert row.extra == {column: "3"}
    assert (f"column {column!r} is kept as one of your own" in _warnings(caplog)) == warned


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("https://example.org/a.wav", "is a URL, which is not fetched"),
        ("S3://bucket/a.wav", "is a URL, which is not fetched"),
        ("data:audio/wav;base64", "is a URL, which is not fetched"),
        ("file:///home/me/a.wav", "is a file URL"),
        ("C:\\Users\\me\\a.wav", "is a path of Windows"),
        ("c:/Users/me/a.wav", "is a path of Windows"),
        ("\\\\server\\share\\a.wav", "is a path of Windows"),
        ("sounds\\a.wav", "has backslashes, and there is no such file; write /"),
        ("../a.wav", "leaves the manifest's folder"),
    ],
)
def test_a_path_that_is_none_of_here_is_reported_as_what_it_is(
    tmp_path: Path, name: str, reason: str
) -> None:
    (row,) = read_manifest(_csv(tmp_path, "audio,image", f"{name},x.png"))
    assert row.audio is None and row.image == tmp_path / "x.png" and reason in row.refused[name]


def test_names_with_colons_and_backslashes_that_are_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a\\b.wav").touch()
    rows = read_manifest(_csv(tmp_path, "audio", "a\\b.wav", "take:2.wav"))
    assert [row.audio for row in rows] == [tmp_path / "a\\b.wav", tmp_path / "take:2.wav"]


def test_rows_of_the_same_files_need_no_ids(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _csv(tmp_path, "audio,caption", "a.wav,one", "a.wav,two", 'b.wav,"of two\nlines"', "a.wav,one")
    rows = read_manifest(path)
    assert [row.id for row in rows] == ["a.wav", "a.wav#2", "b.wav", "a.wav#3"]
    assert rows[2].caption == "of two lines"
    assert "1 rows repeat earlier ones: 4" in _warnings(caplog)
