import json

import numpy as np
import pytest

from vqmm.training.metrics_log import MetricsLog, Window, read_metrics


def test_one_json_object_a_line(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    assert read_metrics(log.path) == []
    log.write(20, "train", 1.23456, {"loss": 2.0})
    log.write(40, "validation", 2.0, {"retrieval_map": 0.5})
    lines = [json.loads(text) for text in log.path.read_text().splitlines()]
    assert lines == [
        {"step": 20, "split": "train", "seconds": 1.235, "loss": 2.0},
        {"step": 40, "split": "validation", "seconds": 2.0, "retrieval_map": 0.5},
    ]
    assert read_metrics(log.path) == lines


def test_rewind_drops_what_came_after_and_a_torn_line(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for step in (20, 40, 60):
        log.write(step, "train", 0.0, {})
    with log.path.open("a") as file:
        file.write('{"step": 80, "spl')
    assert [line["step"] for line in read_metrics(log.path)] == [20, 40, 60]
    log.rewind(40)
    assert log.path.read_text().count("\n") == 2
    log.write(60, "train", 0.0, {})
    assert [line["step"] for line in read_metrics(log.path)] == [20, 40, 60]


def test_figures_that_are_no_json_are_refused(tmp_path):
    with pytest.raises(ValueError):
        MetricsLog(tmp_path / "metrics.jsonl").write(1, "train", 0.0, {"loss": float("nan")})


def test_a_window_gives_means_and_speed_and_begins_anew():
    window = Window()
    window.add(np.array([[1.0, 10.0]], "float32"), 0.5)
    window.add(np.array([[2.0, 20.0], [6.0, 60.0]], "float32"), 1.0)
    assert window.take(["loss", "other"]) == {"loss": 3.0, "other": 30.0, "steps_per_second": 2.0}
    window.add(np.array([[4.0, 0.0]], "float32"), 2.0)
    assert window.take(["loss", "other"]) == {"loss": 4.0, "other": 0.0, "steps_per_second": 0.5}
