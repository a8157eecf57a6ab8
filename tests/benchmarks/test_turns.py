import sys
import types

import pytest

from benchmarks import turns
from benchmarks.turns import Worker, in_turns

GOOD = """
import json, sys, time
from benchmarks.turns import serve
task = json.loads(sys.argv[1])
print("a line that is no JSON")
serve(lambda count: time.sleep(task["each"] * count), {"threads": task["threads"]})
"""
BAD = "raise SystemExit('no such model')"


@pytest.fixture
def workers(tmp_path, monkeypatch):
    for name, text in (("good", GOOD), ("bad", BAD)):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(turns.ROOT))
    monkeypatch.setattr(turns, "ROOT", tmp_path)


def test_workers_tell_the_time_of_a_step_and_how_many_fit_a_turn(workers):
    with (
        Worker(sys.executable, "good", {"threads": 1, "each": 0.01}) as quick,
        Worker(sys.executable, "good", {"threads": 1, "each": 0.03}) as slow,
    ):
        in_turns([quick, slow], rounds=3, seconds=0.1)
    assert quick.ready == {"threads": 1} and len(quick.turns) == len(slow.turns) == 3
    assert quick.turns[-1]["milliseconds"] >= 10 and slow.turns[-1]["milliseconds"] >= 30
    assert quick.turns[-1]["cpu_milliseconds"] < 10  # it slept
    assert 1 <= slow.turns[0]["steps"] <= 4


def test_a_worker_that_stops_says_why_and_takes_no_turns(workers):
    with Worker(sys.executable, "bad", {"threads": 1}) as bad:
        bad.turn(0.1)
    assert bad.failed == "stopped with 1: no such model" and bad.ready == {} and bad.turns == []


def test_the_order_of_turns_alternates():
    said = []
    both = [types.SimpleNamespace(turn=lambda _, name=name: said.append(name)) for name in "ab"]
    in_turns(both, rounds=3, seconds=1.0)
    assert "".join(said) == "abbaab"
