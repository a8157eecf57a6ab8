"""Data that is made here: its files and the shards are written under one lock."""

import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from vqmm.config import check_config, save_config
from vqmm.data.resume import claimed
from vqmm.data.sources import digits
from vqmm.errors import UserError


@pytest.fixture
def given(tmp_path):
    spec = {"audio": {"sample_rate": 4_000}, "image": {"height": 12, "width": 12, "channels": 1}}
    save_config(check_config({"data": spec}), tmp_path / "config.yaml")
    return "--source", "digits", "--config", tmp_path / "config.yaml", "--out", tmp_path / "out"


def test_a_second_command_is_refused_before_it_writes_anything(verb, given, tmp_path):
    with claimed(tmp_path / "out"):
        told = verb("prepare", *given, "--limit", 2).refusal()
    assert f"{tmp_path / 'out'} is in use by another prepare" in told
    assert not list((tmp_path / "out").iterdir())


def test_the_folder_is_held_from_the_source_to_the_end(verb, given, tmp_path, monkeypatch):
    def write(folder, seed, **_):
        with pytest.raises(UserError, match="in use by another prepare"), claimed(tmp_path / "out"):
            pass
        folder.mkdir()
        rng = np.random.default_rng(seed)
        for number in range(10):
            soundfile.write(folder / f"{number}.wav", 0.2 * rng.standard_normal(800), 4_000)
            Image.fromarray(rng.integers(0, 255, (12, 12), np.uint8)).save(folder / f"{number}.png")
        rows = [f"{number}.wav,{number}.png" for number in range(10)]
        (folder / "manifest.csv").write_text("\n".join(["audio,image", *rows]) + "\n")
        return folder / "manifest.csv"

    monkeypatch.setattr(digits, "write_digits", write)
    said = verb("prepare", *given, "--json")
    assert said.status == 0, said
    assert sum(count["pairs_items"] for count in json.loads(said.out)["counts"].values()) == 10
    assert not (tmp_path / "out" / ".prepare").exists()
    with claimed(tmp_path / "out"):  # it is free again
        pass


@pytest.fixture
def stamps(tmp_path):
    """A folder of two stamps, pictures that can be read."""
    folder = tmp_path / "mine" / "stamps" / "animals"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        Image.fromarray(rng.integers(0, 255, (12, 12), np.uint8)).save(folder / f"{name}.png")
        soundfile.write(folder / f"{name}.ogg", 0.2 * rng.standard_normal(800), 8_000)
    return folder


def test_a_source_that_is_a_folder_is_read_where_it_lies_and_its_changes_are_found(
    verb, given, stamps, tmp_path
):
    command = ("--source", "tuxpaint", "--archive", stamps.parents[1], *given[2:], "--json")
    said = verb("prepare", *command)
    assert said.status == 0, said
    assert sum(count["recordings"] for count in json.loads(said.out)["counts"].values()) == 2
    assert [path.name for path in (tmp_path / "out" / "source").iterdir()] == ["manifest.csv"]
    Image.new("L", (12, 12), 200).save(stamps / "cat.png")
    again = verb("prepare", *command)
    assert json.loads(again.out)["changed_files"] == 1
    assert "1 files have other content" in again.err and "stamps/animals/cat.png" in again.err


def manifest_of(tmp_path, *lines):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 255, (12, 12), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    return "--manifest", tmp_path / "m.csv"


def test_copies_in_two_splits_are_warned_about_and_empty_splits_are_named(verb, given, tmp_path):
    manifest = manifest_of(tmp_path, "image,split", "a.png,train", "b.png,train", "copy.png,test")
    said = verb("prepare", *manifest, *given[2:])
    assert said.status == 0, said
    assert "warning: 1 items stand in more than one split" in said.err
    assert "first: rows 1, 3 in train and test" in said.err
    manifest = manifest_of(tmp_path, "image", "a.png", "b.png", "copy.png")
    said = verb("prepare", *manifest, *given[2:], "--force", "--json")
    found = json.loads(said.out)
    assert found["divided_items"] == 0 and found["empty_splits"]
    assert f"no item fell to {' and '.join(found['empty_splits'])}" in said.err
    held = sorted(count["pictures"] for count in found["counts"].values())
    assert held in ([0, 1, 2], [0, 0, 3])  # a.png and its copy are never apart
