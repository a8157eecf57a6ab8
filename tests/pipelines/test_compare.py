"""compare: configs beside each other, through the command line."""

import io
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from vqmm.commands import compare
from vqmm.config import save_config
from vqmm.errors import UserError
from vqmm.evaluation.compared_figures import FIGURES, FORMAT_VERSION
from vqmm.evaluation.comparison import Spread
from vqmm.lock import hold
from vqmm.training.run_folder import create_run, identity

ROOT = Path(__file__).parents[2]
DIFFERENCES = (
    "code distance, audio to image",
    "exact match, image to audio",
    "picture PSNR",
    "log-mel L1",
)


@pytest.fixture(scope="module")
def configs(tiny_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    for name, loss in (("plain", {"swapped": 0}), ("agreed", {"swapped": 0, "agreement": 1})):
        tree = tiny_config.model_dump(mode="json")
        tree["evaluate"] |= {"bootstrap": 50, "examples": 2}
        save_config(
            type(tiny_config).model_validate({**tree, "loss": {**tree["loss"], **loss}}),
            folder / f"{name}.yaml",
        )
    return folder


def test_trains_and_judges_then_takes_what_is_there(configs, tiny_data, tmp_path, verb):
    common = ["--data", tiny_data.folder, "--out", tmp_path, "--quality", 0.01]
    done = verb("compare", configs / "agreed.yaml", *common, "--json")
    assert done.status == 0, done
    tree = json.loads(done.out)
    assert tree == json.loads((tmp_path / "comparison.json").read_text())
    (row,) = tree["rows"]
    own = json.loads((tmp_path / "agreed" / "seed0" / "evaluation.json").read_text())
    found = row["figures"]["code distance, audio to image"]["mean"]
    assert (
        row["what"] == "agreed"
        and found == own["retrieval"]["audio_to_image"]["code_distance"]["map"]["value"]
    )
    # The rest are of generation (too few training items here) and of models without codes.
    missing = {name for name in FIGURES if name not in row["figures"]}
    assert {FIGURES[name].path.split(".")[0] for name in missing} <= {
        "generation",
        "latents",
        "reconstruction",
    }
    assert len(FIGURES) - len(missing) > 25
    assert row["figures"]["peak memory"]["low"] > 100
    assert row["figures"]["picture PSNR"]["ci95"] == [own["reconstruction"]["image"]["psnr"]["ci95"]]
    assert tree["units"]["picture PSNR"] == "dB" and tree["failed"] is None
    assert row["figures"]["seconds to quality"]["mean"] > 0

    def refused(*args):
        """Before anything is trained or written."""
        told = verb("compare", *args, *common).refusal()
        assert "Give another --out or remove that folder" in told and "Traceback" not in told
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("evaluation.json")} == times
        return told

    again = configs / "again.yaml"  # the config under another name, whose run has been trained before
    shutil.copy(configs / "agreed.yaml", again)
    shutil.copytree(tmp_path / "agreed", tmp_path / "again")
    shutil.copytree(tmp_path / "agreed", tmp_path / "plain")  # and a run that is not its config's
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("evaluation.json")}
    assert "plain/seed0 holds a run of another config: loss.agreement: 1.0 → 0.0" in refused(
        "--ablations", configs
    )
    assert "train.batch_size: 8 → 4" in refused(again, "--set", "train.batch_size=4")
    data = tmp_path / "again" / "seed0" / "data.json"
    kept = data.read_text()
    data.write_text(kept.replace(tiny_data.checksum, "0" * 64))
    assert "was trained on other data: checksum: '0000" in refused(again)
    data.write_text(kept)

    free = ("--set", "train.keep_checkpoints=5", "--set", "name=otherwise")  # no figure follows these
    both = verb("compare", configs / "agreed.yaml", again, *common, *free)
    assert both.status == 0 and "agreed" in both.out and "again" in both.out and "pair agreement" in both.out
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("evaluation.json")} == times
    tree = json.loads((tmp_path / "comparison.json").read_text())
    assert [row["what"] for row in tree["rows"]] == ["agreed", "again"] and tree["against"] == "agreed"
    assert tree["rows"][0]["differences"] == {}
    for figure in tree["rows"][1]["differences"].values():  # a copy: no item differs
        assert figure["value"] == 0 and figure["n"] == 8
        # Of eight items there is no covariance of 64 features.
        assert figure["ci95"] == [0, 0] or "8 items are too few, it takes 65" in figure["note"]
    assert {*DIFFERENCES} <= set(tree["rows"][1]["differences"]) and "more than agreed" in both.out
    page = (tmp_path / "comparison.html").read_text()
    assert "2 configs compared" in page and page.count("data:image/svg+xml") == 2


def test_figures_that_are_not_of_what_is_asked_are_made_anew(tiny_config, tiny_data, tmp_path):
    def asked(**train):
        spec = tiny_config.train.model_copy(update=train)
        return compare._finished(tmp_path, tiny_config.model_copy(update={"train": spec}), tiny_data)

    assert not asked()  # there is nothing
    with create_run(tmp_path, tiny_config, identity(tiny_data)) as run:
        run.model.touch()
    assert not asked()  # it has not been judged
    judged = {"checksum": tiny_data.checksum, "split": "test"}
    now = {"format_version": FORMAT_VERSION}
    named = {"generation": {"extractors": {}, "named": {"image": {}}}}
    for data in (judged, {**judged, "checksum": "other"}, {**judged, "split": "train"}):
        (tmp_path / "evaluation.json").write_text(json.dumps({**now, "data": data}))
        assert asked() == (data == judged)
    for tree in ({"format_version": 1}, {**now, **named}):  # by an earlier version, by one's own classifier
        (tmp_path / "evaluation.json").write_text(json.dumps({**tree, "data": judged}))
        assert not asked()
    (tmp_path / "evaluation.json").write_text(json.dumps({**now, "data": judged}))
    assert asked(keep_checkpoints=5) and not asked(steps=99) and not asked(model="last")


def test_refusals_come_before_any_training(configs, tiny_data, tmp_path, verb):
    common = ["--data", tiny_data.folder, "--out", tmp_path / "out"]
    assert "name YAML files" in verb("compare", *common).refusal()
    twice = verb("compare", configs / "plain.yaml", "--ablations", configs, *common)
    assert "two configs are named plain" in twice.refusal()
    assert (
        "--against x: no such config; it is one of plain"
        in verb("compare", configs / "plain.yaml", *common, "--against", "x").refusal()
    )
    assert "--seeds 0: at least 1" in verb("compare", configs / "plain.yaml", *common, "--seeds", 0).refusal()
    wrong = verb("compare", configs / "plain.yaml", *common, "--set", "loss.agrement=1")
    assert "did you mean 'agreement'" in wrong.refusal()
    assert not (tmp_path / "out").exists()


def test_a_signal_goes_on_to_the_verb_at_hand(tmp_path, monkeypatch):
    """A signal ends the verb that runs before it ends `compare`."""
    stub, began, ended = (tmp_path / name for name in ("python", "began", "ended"))
    stub.write_text(f"#!/bin/sh\ntrap 'touch {ended}; exit 0' TERM\ntouch {began}\nsleep 60 & wait $!\n")
    stub.chmod(0o755)
    monkeypatch.setattr(compare.sys, "executable", str(stub))

    def interrupt(*_):
        if not began.exists():
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            return
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(KeyboardInterrupt):
            compare._verb(True, "train")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ended.exists()


@pytest.mark.slow
def test_sigterm_stops_the_run_at_hand_too(configs, tiny_data, tmp_path):
    words = [configs / "agreed.yaml", "--data", tiny_data.folder, "--out", tmp_path]
    process = subprocess.Popen([sys.executable, "-m", "pipelines.compare", *map(str, words)], cwd=ROOT)
    run = tmp_path / "agreed" / "seed0"
    until = time.monotonic() + 120
    while not (run / "config.yaml").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=300) == 0
    with hold(run / "lock"):  # nobody trains there any more
        assert not (run / "model.keras").exists() and not (run / "evaluation.json").exists()


def test_a_run_that_stopped_before_its_end_is_not_judged(tmp_path, monkeypatch):
    """As where the machine is taken away from training alone, which ends with status 0."""
    verbs = []
    monkeypatch.setattr(compare, "_verb", lambda quiet, name, *words: verbs.append(name) or 1.0)
    for _ in range(2):
        with pytest.raises(UserError, match="told to stop before its end"):
            compare._train_and_judge(tmp_path / "a.yaml", "data", tmp_path, [], quiet=True)
        (tmp_path / "model.keras").touch()  # of fewer steps, from before
    assert verbs == ["train", "train"]


def test_many_configs_are_told_in_tables_that_can_be_read():
    rows = [
        {"what": f"config{i}", "figures": {"picture PSNR": Spread(0.1234 + i, 0.1, 9.0, (0.1, 9.0))}}
        for i in range(7)
    ]
    for width, count in ((80, 7), (110, 4), (500, 1)):
        tables = list(compare._tables(rows, "figures", "title", compare._spread, width))
        assert len(tables) == count
        console = Console(width=width, file=io.StringIO())
        for table in tables:
            console.print(table)
        told = console.file.getvalue()
        assert all(f"{0.1234 + i:.4g} (0.1 to 9)" in told and f"config{i}" in told for i in range(7))
        assert told.count("picture PSNR (dB)") == count


def test_one_seed_is_told_with_the_interval_over_items():
    assert compare._spread(Spread(21.0, 21.0, 21.0, (21.0,), ((20.5, 21.5),))) == "21 (20.5 to 21.5)"
    assert compare._spread(Spread(80.0, 80.0, 80.0, (80.0,), (None,))) == "80"
