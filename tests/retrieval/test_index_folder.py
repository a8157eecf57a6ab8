import json
import os
import shutil
import threading

import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex, index_folder
from vqmm.retrieval.index_folder import Content, read_generation, write_generation

FILES = {"codes.bin": b"codes", "items.parquet": b"items"}


def whole(files):
    return {kind: Content([content]) for kind, content in files.items()}


def read(folder):
    facts, files = read_generation(folder)
    return facts, {kind: b"".join(part.tobytes() for part in parts) for kind, parts in files.items()}


class Killed(BaseException):
    """Stands for a process that ends between two steps."""


def test_a_generation_is_read_back(tmp_path):
    assert write_generation(tmp_path / "i", 0, {"slots": 8}, whole(FILES)) == 1
    facts, files = read(tmp_path / "i")
    assert files == FILES and facts["slots"] == 8 and facts["generation"] == 1


@pytest.fixture
def no_grace(monkeypatch):
    """Superseded files go at once, as they do after an hour."""
    monkeypatch.setattr(index_folder, "GRACE_SECONDS", 0)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_old_files_go_an_hour_after_they_were_superseded(tmp_path, monkeypatch):
    times = iter([0.0, 1000.0, 4599.0, 4601.0])
    monkeypatch.setattr(index_folder.time, "time", lambda: next(times))
    for generation in range(4):
        write_generation(tmp_path, generation, {}, whole({"codes.bin": b"codes"}))
        names = [name for name in names_in(tmp_path) if name.startswith("codes")]
        # The first is superseded at 1000 s, the second at 4599 s, the third at 4601 s.
        kept = {0: [1], 1: [1, 2], 2: [1, 2, 3], 3: [2, 3, 4]}[generation]
        assert names == [f"codes-{number:06d}.bin" for number in kept]


def test_many_writings_leave_few_old_files(tmp_path):
    for generation in range(9):
        write_generation(tmp_path, generation, {}, whole(FILES))
    assert names_in(tmp_path) == sorted(
        [f"codes-{n:06d}.bin" for n in range(5, 10)]
        + [f"items-{n:06d}.parquet" for n in range(5, 10)]
        + ["index.json", "lock"]
    )


@pytest.mark.parametrize("work", ["compact", "overwrite"])
def test_a_reader_that_opens_the_files_of_an_older_generation_late_finds_them(tmp_path, work):
    """As on another machine, whose system asks the server for a file anew when it is used."""
    table = np.eye(8, 4, dtype=np.float32)
    codes = np.random.default_rng(0).integers(0, 8, (50, 2))
    index = FaissIndex(table, 2, "f" * 16)
    index.add(codes, [str(n) for n in range(50)], "audio")
    index.set_lists(4)
    index.save(tmp_path / "shared")
    before = FaissIndex.open(tmp_path / "shared").search(table[codes[:3]], 10)
    (tmp_path / "view").mkdir()
    shutil.copy(tmp_path / "shared" / "index.json", tmp_path / "view")
    if work == "compact":
        index.remove(["1", "2"])
        index.compact()
        index.save(tmp_path / "shared")
    else:
        other = FaissIndex(table, 2, "f" * 16)
        other.add(codes[:1], ["other"], "audio")
        other.generation = 1
        other.save(tmp_path / "shared")
    for parts in json.loads((tmp_path / "view" / "index.json").read_text())["files"].values():
        for part in parts:
            (tmp_path / "view" / part["name"]).symlink_to(tmp_path / "shared" / part["name"])
    for mapped in (True, False):
        late = FaissIndex.open(tmp_path / "view", mapped=mapped).search(table[codes[:3]], 10)
        assert late.items == before.items and np.array_equal(late.scores, before.scores)


def test_appended_bytes_and_further_files_come_in_order(tmp_path, no_grace):
    write_generation(tmp_path, 0, {}, whole(FILES))
    more = {"codes.bin": Content([b"-two", b"-three"], "append"), "items.parquet": Content([b"x"], "beside")}
    write_generation(tmp_path, 1, {}, more, keep=True)
    assert read(tmp_path)[1] == {"codes.bin": b"codes-two-three", "items.parquet": b"itemsx"}
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names[0] == "codes-000001.bin" and names[2:4] == ["items-000001.parquet", "items-000002.parquet"]
    # Bytes that a killed writer left behind are not read, and the next writer drops them.
    with (tmp_path / "codes-000001.bin").open("ab") as file:
        file.write(b"left behind")
    assert read(tmp_path)[1]["codes.bin"] == b"codes-two-three"
    write_generation(tmp_path, 2, {}, {"codes.bin": Content([b"-four"], "append")}, keep=True)
    assert read(tmp_path)[1] == {"codes.bin": b"codes-two-three-four", "items.parquet": b"itemsx"}
    write_generation(tmp_path, 3, {}, {"items.parquet": None}, keep=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["codes-000001.bin", "index.json", "lock"]


def test_files_are_mapped_from_a_size_on(tmp_path):
    write_generation(tmp_path, 0, {}, whole({"codes.bin": b"abcd", "items.parquet": b"ab"}))
    files = read_generation(tmp_path, mapped_from=3).files
    assert isinstance(files["codes.bin"][0], np.memmap) and files["codes.bin"][0].tobytes() == b"abcd"
    assert not isinstance(files["items.parquet"][0], np.memmap)
    (tmp_path / "codes-000001.bin").write_bytes(b"abc")
    with pytest.raises(UserError, match="too short"):
        read_generation(tmp_path, mapped_from=3)


def test_a_kill_after_the_last_rename_leaves_the_new_index(tmp_path, monkeypatch, no_grace):
    write_generation(tmp_path, 0, {}, whole(FILES))

    def unlink(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        with pytest.raises(Killed):
            write_generation(tmp_path, 1, {}, whole({**FILES, "codes.bin": b"new"}))
    assert read(tmp_path)[1]["codes.bin"] == b"new"


def test_readers_see_whole_generations_while_one_writes(tmp_path):
    def content(generation):
        return {kind: f"{kind} {generation}".encode() * 1000 for kind in FILES}

    write_generation(tmp_path, 0, {}, whole(content(1)))
    stop, problems, seen = threading.Event(), [], set()

    def keep_reading():
        while not stop.is_set():
            try:
                facts, files = read(tmp_path)
            except UserError as error:
                if "again and again" not in str(error):
                    problems.append(str(error))
                continue
            seen.add(facts["generation"])
            if files != content(facts["generation"]):
                problems.append("a mix")

    thread = threading.Thread(target=keep_reading)
    thread.start()
    for generation in range(1, 60):
        write_generation(tmp_path, generation, {}, whole(content(generation + 1)))
    stop.set()
    thread.join()
    assert not problems and len(seen) > 1


def test_two_writers_do_not_overwrite_each_other(tmp_path):
    write_generation(tmp_path, 0, {}, whole(FILES))
    write_generation(tmp_path, 1, {}, whole(FILES))
    with pytest.raises(UserError, match="generation 2.*started from 1"):
        write_generation(tmp_path, 1, {}, whole(FILES))
    with pytest.raises(UserError, match="generation 2.*started from 0"):
        FaissIndex(np.eye(4, dtype=np.float32), 2, "f" * 16).save(tmp_path)


def test_damage_is_told(tmp_path):
    write_generation(tmp_path, 0, {}, whole(FILES))
    (tmp_path / "items-000001.parquet").write_bytes(b"other")
    with pytest.raises(UserError, match="items-000001.parquet is damaged"):
        read_generation(tmp_path)
    (tmp_path / "items-000001.parquet").unlink()
    with pytest.raises(UserError, match="items-000001.parquet is missing"):
        read_generation(tmp_path)


@pytest.mark.parametrize(
    "pointer",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"format_version": 2, "generation": 1, "files": {"a": [{"name": "../a"}]}}),
    ],
)
def test_a_damaged_pointer_is_told(tmp_path, pointer):
    (tmp_path / "index.json").write_text(pointer)
    with pytest.raises(UserError, match="index.json is damaged"):
        read_generation(tmp_path)


def test_no_index_and_a_newer_one_are_told(tmp_path):
    with pytest.raises(UserError, match="holds no index"):
        read_generation(tmp_path / "nowhere")
    (tmp_path / "index.json").write_text('{"format_version": 7}')
    with pytest.raises(UserError, match="format 7; this vqmm reads 2"):
        read_generation(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        write_generation(tmp_path / "file", 0, {}, whole(FILES))
