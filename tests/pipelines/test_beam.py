"""Apache Beam writes what the local runner writes."""

import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

from vqmm.config import check_config, save_config
from vqmm.data.beam_runner import run_by_beam
from vqmm.errors import UserError
from vqmm.tokens import TokenFile, join_tokens


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_shards_and_all_that_stands_beside_them_are_the_same_bytes(verb, tmp_path):
    rng, lines = np.random.default_rng(0), ["audio,image"]
    for number in range(20):
        soundfile.write(tmp_path / f"{number}.wav", 0.2 * rng.standard_normal(800), 8_000)
        Image.fromarray(rng.integers(0, 255, (12, 12), np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.wav,{number}.png")
    (tmp_path / "7.wav").write_bytes(b"no sound")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    spec = {"audio": {"sample_rate": 4_000}, "image": {"height": 12, "width": 12, "channels": 1}}
    config = check_config({"data": {**spec, "records_per_shard": 4}})
    save_config(config, tmp_path / "config.yaml")
    given = ("--manifest", tmp_path / "manifest.csv", "--config", tmp_path / "config.yaml", "--workers", 1)
    assert verb("prepare", *given, "--out", tmp_path / "here").status == 0
    said = verb("prepare", *given, "--out", tmp_path / "beam", "--runner", "beam")
    assert said.status == 0, said
    here = files(tmp_path / "here")
    assert here == files(tmp_path / "beam") and b"7.wav" in here["rejected.csv"]
    assert sum(name.endswith(".tfrecord") for name in here) > 6


def test_tokens_are_the_same(verb, tiny_run, tiny_data, tmp_path):
    given = ("--run", tiny_run, "--data", tiny_data.folder, "--split", "train", "test")
    assert verb("tokenize", *given, "--out", tmp_path / "here").status == 0
    said = verb("tokenize", *given, "--out", tmp_path / "beam", "--runner", "beam")
    assert said.status == 0, said
    assert files(tmp_path / "here") == files(tmp_path / "beam") and len(files(tmp_path / "here")) == 4


def test_work_that_fails_is_told():
    with pytest.raises(UserError, match="Beam failed .*division by zero"):
        run_by_beam(_divide, [1, 0], [])


def _divide(number):
    1 / number


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"pip install 'vqmm\[beam\]'"):
        run_by_beam(print, [1], [])


def test_options_go_with_the_runner_and_the_runner_with_data(verb, tmp_path):
    given = ("--manifest", "none.csv", "--config", "none.yaml", "--out", tmp_path, "--beam", "streaming")
    assert "--beam streaming goes with --runner beam" in verb("prepare", *given).refusal()
    loose = ("--run", "none", "--audio", "a.wav", "--out", tmp_path / "a.npz", "--runner", "beam")
    assert "--runner beam goes with --data" in verb("tokenize", *loose).refusal()


def test_parts_are_joined_in_order_and_only_where_they_are_alike():
    def part(ids, labels, fingerprint="f"):
        codes = np.arange(3 * len(ids)).reshape(-1, 3)
        return TokenFile(
            "image", np.array(ids), codes, None, np.ones((len(ids), 2)), fingerprint, labels=labels
        )

    whole = join_tokens([part(["b", "a"], None), part(["c"], np.array([4]))])
    assert whole.ids.tolist() == ["b", "a", "c"] and whole.labels.tolist() == [-1, -1, 4]
    assert whole.shared.tolist() == [[0, 1, 2], [3, 4, 5], [0, 1, 2]] and whole.private is None
    for wrong in ([], [part(["a"], None), part(["b"], None, "g")]):
        with pytest.raises(UserError, match="join"):
            join_tokens(wrong)
