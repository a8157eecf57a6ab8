import json
import math

import numpy as np
import pytest

from vqmm.evaluation.cases import CASES, Cases
from vqmm.evaluation.comparison import differences, run_figures, spreads


@pytest.fixture
def folder(tmp_path):
    figure = {"value": 0.75, "ci95": [0.7, 0.8], "n": 9}
    tree = {
        "retrieval": {"audio_to_image": {"code_distance": {"map": figure}}},
        "codebook": {"codes": 80, "pair_agreement": {**figure, "value": 0.5}},
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(tree))
    lines = [
        {"step": 5, "split": "train", "seconds": 1.0, "retrieval_map": 1.0},
        {"step": 10, "split": "validation", "seconds": 2.0, "retrieval_map": 0.4},
        {"step": 20, "split": "validation", "seconds": 4.0, "retrieval_map": 0.8},
        {"step": 30, "split": "validation", "seconds": 6.0, "retrieval_map": 0.9},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_figures_of_a_run_and_the_time_to_a_quality(folder):
    found = run_figures(folder, 0.7)
    assert found == {
        "code distance, audio to image": 0.75,
        "pair agreement": 0.5,
        "shared codes": 80.0,
        "seconds to quality": 4.0,
    }
    assert run_figures(folder, 0.95)["seconds to quality"] == math.inf
    (folder / "peak.json").write_text('{"mebibytes": 123.0}')
    assert run_figures(folder, 0.7)["peak memory, MiB"] == 123.0


def test_spread_over_seeds_that_have_the_figure():
    table = spreads([{"a": 1.0, "b": 2.0}, {"a": 3.0}])
    assert table["a"] == (2.0, 1.0, 3.0, (1.0, 3.0))
    assert table["b"][:3] == (2.0, 2.0, 2.0) and math.isnan(table["b"].values[1])


def test_differences_are_of_figures_that_every_run_has_cases_of(tmp_path):
    folders = {name: [tmp_path / name / str(seed) for seed in range(2)] for name in "ab"}
    for name, both in folders.items():
        for seed, one in enumerate(both):
            cases = Cases()
            cases.note("reconstruction.image.psnr", ["x", "y"], np.array([20.0, 22.0]) + (name == "a") + seed)
            if seed:
                cases.note("reconstruction.image.mse", ["x"], np.zeros(1))
            (one / "report").mkdir(parents=True)
            cases.save(one / CASES)
    found = differences(folders["a"], folders["b"])
    assert set(found) == {"picture PSNR, dB"}
    assert found["picture PSNR, dB"] == (1.0, (1.0, 1.0), 2, None)
    assert differences(folders["a"], [tmp_path, tmp_path]) == {}
