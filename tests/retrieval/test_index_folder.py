import json
import os
import threading

import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.index_folder import read_generation, write_generation

FILES = {"index.faiss": b"codes", "items.parquet": b"items"}


class Killed(BaseException):
    """Stands for a process that ends between two steps."""


def test_a_generation_is_read_back(tmp_path):
    assert write_generation(tmp_path / "i", 0, {"slots": 8}, FILES) == 1
    facts, files = read_generation(tmp_path / "i")
    assert files == FILES and facts["slots"] == 8 and facts["generation"] == 1


def test_old_files_go_once_the_new_ones_count(tmp_path):
    write_generation(tmp_path, 0, {}, FILES)
    write_generation(tmp_path, 1, {}, FILES)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["index-000002.faiss", "index.json", "items-000002.parquet", "lock"]


@pytest.mark.parametrize("crash_at", [1, 2, 3])
def test_a_kill_at_any_step_leaves_the_old_index_whole(tmp_path, monkeypatch, crash_at):
    index = FaissIndex(np.eye(4, dtype=np.float32), 2, "f" * 16)
    index.add([[0, 1]], ["old"], "audio")
    index.save(tmp_path)
    index.add([[2, 3]], ["new"], "audio")
    real, calls = os.replace, []

    def replace(*args, **kwargs):
        calls.append(args)
        if len(calls) == crash_at:
            raise Killed
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(Killed):
            index.save(tmp_path)
    again = FaissIndex.open(tmp_path)
    assert again.count() == 1
    # The next writer takes over what the killed one left.
    again.add([[2, 3]], ["new"], "audio")
    again.save(tmp_path)
    assert FaissIndex.open(tmp_path).count() == 2
    assert len(list(tmp_path.iterdir())) == 4


def test_a_kill_after_the_last_rename_leaves_the_new_index(tmp_path, monkeypatch):
    write_generation(tmp_path, 0, {}, FILES)

    def unlink(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        with pytest.raises(Killed):
            write_generation(tmp_path, 1, {}, {**FILES, "index.faiss": b"new"})
    assert read_generation(tmp_path).files["index.faiss"] == b"new"


def test_readers_see_whole_generations_while_one_writes(tmp_path):
    def content(generation):
        return {kind: f"{kind} {generation}".encode() * 1000 for kind in FILES}

    write_generation(tmp_path, 0, {}, content(1))
    stop, problems, seen = threading.Event(), [], set()

    def read():
        while not stop.is_set():
            try:
                facts, files = read_generation(tmp_path)
            except UserError as error:
                if "again and again" not in str(error):
                    problems.append(str(error))
                continue
            seen.add(facts["generation"])
            if files != content(facts["generation"]):
                problems.append("a mix")

    thread = threading.Thread(target=read)
    thread.start()
    for generation in range(1, 60):
        write_generation(tmp_path, generation, {}, content(generation + 1))
    stop.set()
    thread.join()
    assert not problems and len(seen) > 1


def test_two_writers_do_not_overwrite_each_other(tmp_path):
    write_generation(tmp_path, 0, {}, FILES)
    write_generation(tmp_path, 1, {}, FILES)
    with pytest.raises(UserError, match="generation 2.*started from 1"):
        write_generation(tmp_path, 1, {}, FILES)
    with pytest.raises(UserError, match="generation 2.*started from 0"):
        FaissIndex(np.eye(4, dtype=np.float32), 2, "f" * 16).save(tmp_path)


def test_damage_is_told(tmp_path):
    write_generation(tmp_path, 0, {}, FILES)
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
        json.dumps({"format_version": 1, "generation": 1, "files": {"a": {"name": "../a"}}}),
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
    with pytest.raises(UserError, match="format 7; this vqmm reads 1"):
        read_generation(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        write_generation(tmp_path / "file", 0, {}, FILES)
