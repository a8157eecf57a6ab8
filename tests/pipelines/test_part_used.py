"""Every verb says which part of a recording was used, and what was odd about its file."""

import csv
import json

import numpy as np
import pytest
import soundfile

from vqmm.data.batches import TrainingBatches

RATE = 2000
WINDOW = 1024


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A recording of 2 s with a beep from 1.0 to 1.3 s, one of opposite phase, and an ordinary one."""
    folder = tmp_path_factory.mktemp("sounds")
    time = np.arange(2 * RATE) / RATE
    beep = 0.5 * np.sin(2 * np.pi * 300 * time)
    soundfile.write(folder / "long.wav", np.where((time >= 1) & (time < 1.3), beep, 0.02 * beep), RATE)
    short = beep[:900]
    soundfile.write(folder / "opposite.wav", np.stack([short, -short], axis=1), RATE)
    soundfile.write(folder / "plain.wav", short, RATE)
    return folder


def check_part(used):
    """The window holds the beep."""
    assert used["of_seconds"] == 2.0
    assert used["end_seconds"] - used["start_seconds"] == pytest.approx(WINDOW / RATE)
    assert used["start_seconds"] <= 1.0 and used["end_seconds"] >= 1.3


def test_prepare_lists_remarks_and_counts_long_recordings(verb, files, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(f"name: x\ndata:\n  audio: {{sample_rate: {RATE}, samples: {WINDOW}}}\n")
    manifest = files / "manifest.csv"
    rows = ("long.wav,train,a", "opposite.wav,train,b", "plain.wav,train,c", "long.wav,test,d")
    manifest.write_text("\n".join(["audio,split,id", *rows]) + "\n")
    args = ("prepare", "--manifest", manifest, "--config", config, "--out", tmp_path / "out", "--workers", 1)
    said = verb(*args)
    assert said.status == 0, said
    out = " ".join(said.out.split())
    assert f"1 recordings are longer than the window of {WINDOW / RATE:.3f} s" in out
    assert "1 files were read with a remark" in out
    with (tmp_path / "out" / "remarks.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["row"], line["path"], line["kind"]) for line in lines] == [
        ("1", "long.wav", "window"),
        ("2", "opposite.wav", "file"),
        ("4", "long.wav", "window"),
    ]
    assert "s of 2.000 s, are used" in lines[0]["remark"] and "cancel each other" in lines[1]["remark"]
    again = verb(*args, "--json")  # finished: the remarks are those of the folder
    assert json.loads(again.out)["remarks"] == {"file": 1, "window": 1}


def test_query_tokenize_and_reconstruct_say_what_was_used(verb, tiny_run, tiny_data, files, tmp_path):
    index = tmp_path / "index"
    made = verb("index", "--run", tiny_run, "--data", tiny_data.folder, "--out", index)
    lengths = tiny_data.split("train").recordings.lengths, tiny_data.split("test").recordings.lengths
    longer = sum(int((part > WINDOW).sum()) for part in lengths)
    longer += int((tiny_data.split("validation").recordings.lengths > WINDOW).sum())
    assert longer > 0 and f"note: {longer} of " in made.out

    asked = ("query", "--run", tiny_run, "--index", index, "--audio")
    found = json.loads(verb(*asked, files / "long.wav", "--json").out)["query"]
    check_part(found["used"])
    assert found["notes"] == []
    assert "opposite.wav has 2 channels that cancel each other" in verb(*asked, files / "opposite.wav").out

    asked = ("tokenize", "--run", tiny_run, "--out", tmp_path / "tokens", "--audio")
    both = verb(*asked, files / "long.wav", files / "plain.wav", "--json")
    parts = [file for line in json.loads(both.out)["files"] for file in line["files"]]
    check_part(parts[0]["used"])
    assert parts[1]["used"] == {"start_seconds": 0.0, "end_seconds": 0.45, "of_seconds": 0.45}
    split = verb(
        "tokenize", "--run", tiny_run, "--data", tiny_data.folder, "--out", tmp_path / "all", "--json"
    )
    told = {line["modality"]: line for line in json.loads(split.out)["files"]}
    assert told["audio"]["longer_than_window"] == int((lengths[1] > WINDOW).sum())

    asked = ("reconstruct", "--run", tiny_run, "--out", tmp_path / "a.wav", "--audio", files / "long.wav")
    assert "s of 2.000 s, are used" in verb(*asked).err


def test_evaluate_and_train_count_long_recordings(verb, tiny_run, tiny_data, tiny_config, tmp_path):
    lengths = tiny_data.split("test").recordings.lengths
    longer = int((lengths > WINDOW).sum())
    judged = verb("evaluate", "--run", tiny_run, "--data", tiny_data.folder, "--out", tmp_path / "judged")
    assert judged.status == 0, judged
    assert f"note: {longer} of {len(lengths)} recordings are longer than the model's window" in judged.err
    lengths = tiny_data.split("train").recordings.lengths
    found = TrainingBatches(tiny_data, tiny_config).longer
    assert found and found.startswith(f"{(lengths > WINDOW).sum()} of {len(lengths)} recordings are longer")
