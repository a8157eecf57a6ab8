import json
import types

import pytest

from benchmarks import input as bench
from benchmarks.input import source_files
from vqmm.errors import UserError


def test_files_are_those_of_the_training_split(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    rows = ["a.flac,,train", ",a.png,train", "b.flac,,test", "c.flac,c.png,train", "d.flac,,train"]
    (source / "manifest.csv").write_text("audio,image,split\n" + "\n".join(rows) + "\n")
    found = source_files(tmp_path, 2)
    assert found == {
        "audio": [str(source / "a.flac"), str(source / "c.flac")],
        "image": [str(source / "a.png"), str(source / "c.png")],
    }
    with pytest.raises(UserError, match="manifest.csv is missing; vqmm prepare"):
        source_files(tmp_path / "none", 2)


def test_rates_are_of_cpu_time_and_a_side_that_fails_is_told(monkeypatch, capsys, tmp_path):
    class Told:
        def __init__(self, python, module, task):
            role = task.get("role", "peer")
            self.failed = "no torch" if role == "peer" else ""
            self.ready, self.turns = {}, []
            self.cost = {"loop": 400.0, "ours": 40.0, "augmented": 80.0, "prepare": 800.0}.get(role, 1.0)

        def turn(self, seconds):
            self.turns.append({"milliseconds": 7.0, "cpu_milliseconds": self.cost})

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(bench, "Worker", Told)
    monkeypatch.setattr(bench, "source_files", lambda data, limit: {})
    args = types.SimpleNamespace(data=tmp_path, peers="python", rounds=3, seconds=0.1)
    rows = {row["what"]: row for row in bench._rates(args, {})}
    assert rows["input by librosa and Pillow"]["pairs_a_second"] == pytest.approx(64 / 0.4)
    assert rows["input by ours, prepared"]["ratio_to_loop"] == pytest.approx(10)
    assert rows["input by prepare, once a file"]["ratio_to_loop"] == pytest.approx(0.5)
    assert rows["input by DataLoader"]["failed"] == "no torch" and "no torch" in capsys.readouterr().out
    json.dumps(rows)
