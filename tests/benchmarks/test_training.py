import types

import pytest

from benchmarks import training
from benchmarks.training import compared


def turn(milliseconds, cpu):
    return {"milliseconds": milliseconds, "cpu_milliseconds": cpu, "peak_mebibytes": 100.0}


def test_ratios_are_of_the_same_round():
    ours = [turn(10, 4), turn(100, 4), turn(20, 5)]  # something else was going on in the second round
    peer = [turn(20, 8), turn(200, 8), turn(40, 10)]
    found = compared(ours, peer)
    assert found["ratio_to_peer"] == found["cpu_ratio_to_peer"] == 2.0
    assert found["ratio_quartiles"] == [2.0, 2.0]


@pytest.fixture
def workers(monkeypatch):
    """Workers that say what they are told to: by role or by memory layout."""
    said = {}

    class Told:
        def __init__(self, python, module, task):
            self.ready, self.turns, self.failed = (
                said.get(task.get("role", task.get("channels_last")), {}),
                [],
                "",
            )
            self.failed = self.ready.get("failed", "")

        def turn(self, seconds):
            self.turns.append(turn(*self.ready.get("each", (1.0, 1.0))))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(training, "Worker", Told)
    return said


def test_a_peer_with_other_networks_is_not_compared(workers, capsys):
    workers["ours"] = {"parameters": 1000, "multiply_adds": 8000, "each": (20.0, 20.0)}
    workers[False] = {"parameters": 1005, "multiply_adds": 8000, "each": (30.0, 10.0)}
    workers[True] = {"parameters": 1100, "multiply_adds": 8000, "each": (10.0, 10.0)}
    workers["product"] = {"multiply_adds": 4000, "each": (5.0, 4.0)}
    workers["convolution"] = {"failed": "stopped"}
    args = types.SimpleNamespace(peers="python", threads=2, rounds=2, seconds=0.1)
    row = training._step(args, "vqvae", {})
    assert "not the same networks" in row["peers"]["eager, channels last"]["failed"]
    assert row["peer"] == "eager" and row["ratio_to_peer"] == 1.5 and row["cpu_ratio_to_peer"] == 0.5
    assert row["share_of_product"] == pytest.approx((8000 / 20) / (4000 / 5))
    assert "share_of_convolution" not in row
    printed = capsys.readouterr().out
    assert "1,005" in printed and "1100 parameters, ours has 1000" in printed


def test_every_axis_changes_what_it_says():
    base = training._config("vqvae")
    assert base["schedule"]["quantize_from"] == 0
    for sizes, keys, unit in training.AXES.values():
        changed = training._config("vqvae", *(f"{key}={sizes[-1] * unit}" for key in keys.split()))
        for key in keys.split():
            *path, leaf = key.split(".")
            part = changed
            for step in path:
                part = part[step]
            assert part[leaf] == sizes[-1] * unit
