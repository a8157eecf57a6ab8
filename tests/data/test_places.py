"""Prepared data at a URL: read as from a folder, and told what is wrong with it."""

import functools
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
import yaml

from vqmm.commands.launch import launch
from vqmm.data.places import is_url, local_file, located
from vqmm.data.records import Dataset
from vqmm.errors import UserError


@pytest.fixture
def bucket(tiny_data):
    """The data in fsspec's own memory, as a bucket would have it."""
    memory = fsspec.filesystem("memory")
    memory.put(f"{tiny_data.folder}/", "/bucket/tiny/", recursive=True)
    yield memory
    memory.rm("/bucket", recursive=True)


@pytest.fixture
def server(tiny_data):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(tiny_data.folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def test_a_bucket_holds_what_the_folder_holds(bucket, tiny_data):
    far = Dataset.open("memory://bucket/tiny")
    assert far.checksum == tiny_data.checksum and far.counts == tiny_data.counts
    for split in ("train", "test"):
        for one, other in zip(far.split(split), tiny_data.split(split), strict=True):
            assert list(one.data) == list(other.data) and one.extra == other.extra
            for field in ("ids", "items", "labels", "captions", "lengths"):
                np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def test_what_is_not_there_or_damaged_is_told(bucket):
    with pytest.raises(UserError, match=r"memory://bucket/none holds no dataset.json"):
        Dataset.open("memory://bucket/none")
    far = Dataset.open("memory://bucket/tiny")
    (name, *_) = far.shard_names("audio", "test")
    bucket.pipe(f"/bucket/tiny/{name}", b"x")
    with pytest.raises(UserError, match=rf"{name} is damaged"):
        far.split("test")
    bucket.rm(f"/bucket/tiny/{name}")
    with pytest.raises(UserError, match=rf"{name} is missing; prepare"):
        far.split("test")


def test_a_file_system_that_fails_is_told(bucket, monkeypatch):
    far = Dataset.open("memory://bucket/tiny")

    def refuse(*_, **__):
        raise RuntimeError("no credentials")

    monkeypatch.setattr(type(far.folder.fs), "_open", refuse)
    with pytest.raises(UserError, match="cannot be fetched .RuntimeError: no credentials"):
        far.split("test")
    with pytest.raises(UserError, match="no credentials"):
        Dataset.open("memory://bucket/tiny")


@pytest.mark.parametrize(
    "url, told",
    [
        ("s3://bucket/tiny", "s3:// s3fs"),
        ("gs://bucket/tiny", "gs:// needs the package gcsfs"),
        ("nope://x", "nope"),
    ],
)
def test_what_a_url_needs_is_told(url, told, monkeypatch):
    for package in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=told):
        located(url)


def test_paths_stay_paths(tmp_path):
    assert is_url("gs://b/d") and not is_url(tmp_path) and located(str(tmp_path)) == tmp_path
    (tmp_path / "a").write_text("a")
    with local_file(tmp_path / "a") as same:
        assert same == tmp_path / "a"


def test_the_command_trains_on_data_of_a_server(
    server, tiny_config, tiny_data, nudging_steps, tmp_path, capsys
):
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(tiny_config.model_dump(mode="json")))

    def called(*words):
        with pytest.raises(SystemExit) as stop:
            launch("train", ["--config", str(config), *words])
        return stop.value.code, capsys.readouterr().err

    status, said = called("--data", server, "--run", str(tmp_path / "run"), "--set", "train.steps=6")
    assert status == 0, said
    assert (tmp_path / "run" / "model.keras").is_file()
    assert tiny_data.checksum in (tmp_path / "run" / "data.json").read_text()
    status, said = called("--data", server, "--run", "s3://bucket/run")
    assert status == 2 and "'s3://bucket/run' is a URL" in said
    assert not Path("s3:").exists()
    status, said = called("--data", f"{server}/elsewhere", "--run", str(tmp_path / "other"))
    assert status == 2 and "holds no dataset.json" in said
