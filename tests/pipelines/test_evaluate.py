import json
import shutil

import pytest
import yaml


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    """A copy of the run with few resamples."""
    folder = tmp_path_factory.mktemp("judged") / "run"
    shutil.copytree(tiny_run, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["evaluate"] |= {"bootstrap": 30, "examples": 2}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_figures_and_report_go_into_the_run_folder(verb, run, tiny_data):
    said = verb("evaluate", "--run", run, "--data", tiny_data.folder)
    assert said.status == 0, said
    figures = json.loads((run / "evaluation.json").read_text())
    page = (run / "report" / "index.html").read_text()
    assert f"{figures['retrieval']['audio_to_image']['code_distance']['map']['value']:.3f}" in said.out
    assert f"{figures['codebook']['pair_agreement']['value'] * 100:.1f}" in page
    assert figures["cost"]["train_seconds"]["value"] > 0 and figures["run"]["step"] in (6, 12)
    assert str(run / "report" / "index.html") in said.out
    assert not list(run.rglob("*.part"))
    assert figures["data"]["trained_on"] == {"recordings": 0, "pictures": 0} and "trained on" not in said.err


def test_items_that_the_run_was_trained_on_are_warned_about(verb, run, tiny_data, tmp_path):
    where = ("--split", "train", "--out", tmp_path / "seen")
    said = verb("evaluate", "--run", run, "--data", tiny_data.folder, *where, "--json")
    assert "was trained on 24 of 24 recordings and 24 of 24 pictures of split 'train'" in said.err
    assert json.loads(said.out)["data"]["trained_on"] == {"recordings": 24, "pictures": 24}


def test_another_place_and_split_as_json(verb, run, tiny_data, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    where = ("--split", "validation", "--out", tmp_path / "a/b")
    said = verb("evaluate", "--run", run, "--data", tiny_data.folder, *where, "--json")
    assert said.status == 0, said
    figures = json.loads(said.out)
    assert figures == json.loads((tmp_path / "a/b/evaluation.json").read_text())
    assert figures["data"]["split"] == "validation"
    assert (tmp_path / "a/b/report/index.html").is_file()
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before


def test_mistakes_are_told_in_one_line(verb, run, tiny_data, tmp_path):
    data = ("--data", tiny_data.folder)

    def refusal(*args):
        return verb("evaluate", *args).refusal()

    assert "no run folder" in refusal("--run", tmp_path / "none", *data)
    assert "dataset.json" in refusal("--run", run, "--data", tmp_path)
    assert "split 'tset'" in (said := refusal("--run", run, *data, "--split", "tset")) and "is empty" in said
    (tmp_path / "file").write_text("")
    assert "is a file" in refusal("--run", run, *data, "--out", tmp_path / "file")
    other = tmp_path / "other"
    shutil.copytree(tiny_data.folder, other)
    tree = json.loads((other / "dataset.json").read_text())
    tree["spec"]["audio"]["sample_rate"] = 16000
    tree["spec"]["image"]["height"] = 64
    (other / "dataset.json").write_text(json.dumps(tree))
    said = refusal("--run", run, "--data", other)
    assert "sample_rate=16000, the run has 2000" in said and "height=64, the run has 16" in said


@pytest.mark.parametrize("cards", [[], ["GPU:0"]])
def test_a_gpu_is_made_to_judge_the_same_each_time(verb, run, tiny_data, tmp_path, monkeypatch, cards):
    """Else two runs would be judged in features that a network was taught otherwise for each."""
    asked = []
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind=None: cards)
    monkeypatch.setattr("tensorflow.config.experimental.enable_op_determinism", lambda: asked.append("on"))
    monkeypatch.setattr("vqmm.report.write_evaluation", lambda *_, **__: asked.append("judged") or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        verb("evaluate", "--run", run, "--data", tiny_data.folder, "--out", tmp_path)
    assert asked == [*(["on"] if cards else []), "judged"]


def test_a_failed_evaluation_leaves_the_last_one(verb, run, tiny_data, tmp_path, monkeypatch):
    (tmp_path / "evaluation.json").write_text("{}")
    monkeypatch.setattr("vqmm.report.write.render_report", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        verb("evaluate", "--run", run, "--data", tiny_data.folder, "--out", tmp_path)
    assert (tmp_path / "evaluation.json").read_text() == "{}"
