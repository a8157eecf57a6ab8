import json
import math

import numpy as np
import pytest

from vqmm.evaluation.cases import CASES, Cases
from vqmm.evaluation.compared_figures import FIGURES
from vqmm.evaluation.comparison import differences, run_figures, spreads
from vqmm.metrics import Figure


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
        "code distance, audio to image": Figure(0.75, (0.7, 0.8), 9),
        "pair agreement": Figure(0.5, (0.7, 0.8), 9),
        "shared codes": Figure(80.0, None, 1),
        "seconds to quality": Figure(4.0, None, 1),
    }
    assert run_figures(folder, 0.95)["seconds to quality"].value == math.inf
    (folder / "peak.json").write_text('{"mebibytes": 123.0}')
    assert run_figures(folder, 0.7)["peak memory"].value == 123.0


def test_why_a_figure_has_no_interval_is_read_too(folder):
    tree = {"reconstruction": {"image": {"psnr": {"value": 20.0, "ci95": None, "n": 2, "note": "too few"}}}}
    (folder / "evaluation.json").write_text(json.dumps(tree))
    found = run_figures(folder, 0.7)["picture PSNR"]
    assert found == Figure(20.0, None, 2, note="too few")
    assert spreads([{"picture PSNR": found}])["picture PSNR"].notes == ("too few",)


def test_every_figure_has_a_unit_and_a_place_of_its_own():
    assert all(measured.unit for measured in FIGURES.values())
    paths = [measured.path for measured in FIGURES.values() if measured.path]
    assert len(set(paths)) == len(paths) == len(FIGURES) - 2


def test_spread_over_seeds_that_have_the_figure():
    psnr, ssim = "picture PSNR", "picture SSIM"
    table = spreads(
        [{ssim: Figure(2.0, None, 9), psnr: Figure(1.0, (0.5, 1.5), 9)}, {psnr: Figure(3.0, None, 9)}]
    )
    assert list(table) == [psnr, ssim]
    assert table[psnr] == (2.0, 1.0, 3.0, (1.0, 3.0), ((0.5, 1.5), None), ("", ""))
    assert table[ssim][:3] == (2.0, 2.0, 2.0) and math.isnan(table[ssim].values[1])


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
    assert found.left_out == {} and set(found.figures) == {"picture PSNR"}
    few = found.figures["picture PSNR"]  # of two items, which are too few for an interval
    assert few[:3] == (1.0, None, 2) and "2 items are too few" in few.note
    found = differences(folders["a"], [folders["b"][0], tmp_path])
    assert not found.figures and f"{tmp_path} keeps no values" in found.left_out["all figures"]


def test_what_is_left_out_of_the_differences_is_told_and_why(tmp_path):
    rng = np.random.default_rng(0)
    seen, folders = rng.normal(size=(6, 2)), [tmp_path / name for name in "ab"]
    for place, folder in enumerate(folders):
        cases, ids = Cases(), list("uvwxyz")
        cases.note("reconstruction.image.psnr", ids, np.ones(6))
        cases.note("reconstruction.image.mse", [f"{place}{name}" for name in ids], np.ones(6))
        cases.note("reconstruction.image.perceptual", ids, np.ones(6), f"judge{place}")
        cases.note_features("reconstruction.image.frechet", ids, seen + place, seen, f"judge{place}")
        (folder / "report").mkdir(parents=True)
        cases.save(folder / CASES)
    found = differences(folders[:1], folders[1:])
    assert set(found.figures) == {"picture PSNR"}
    assert found.left_out["picture MSE"] == "they were judged on different items"
    for name in ("picture perceptual distance", "picture Fréchet distance, rebuilt"):
        assert "features of different networks (fingerprints judge0 and judge1)" in found.left_out[name]
