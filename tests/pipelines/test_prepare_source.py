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
    assert said.status == 0 and json.loads(said.out)["counts"]["train"]["pairs_items"] == 8, said
    assert not (tmp_path / "out" / ".prepare").exists()
    with claimed(tmp_path / "out"):  # it is free again
        pass
