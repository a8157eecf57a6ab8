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
        (["audio,image", "a.wav,b.png", "a.wav,b.png"], r"'a\.wav\+b\.png' in rows 1, 2"),
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
    assert "row 2 is [1]" in _refused(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_text('{"audio": ')
    assert "cannot be read as jsonl" in _refused(tmp_path / "b.jsonl")
    (tmp_path / "latin.csv").write_bytes("audio\ncaf\u00e9.wav\n".encode("latin-1"))
    assert "cannot be read as csv" in _refused(tmp_path / "latin.csv")
