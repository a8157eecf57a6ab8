"""A prior through the verbs: trained, resumed, drawn from, judged."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
import yaml
from PIL import Image

from vqmm.encoding import codebook_fingerprint
from vqmm.evaluation import extractors
from vqmm.models import Prior
from vqmm.tokens import join_tokens, load_tokens, save_tokens
from vqmm.training.metrics_log import read_metrics
from vqmm.training.run_folder import open_run

SETTINGS = {
    "name": "tiny-prior",
    "prior": {"dim": 8, "depth": 1, "heads": 2, "sampling": {"steps": 3}},
    "train": {
        "steps": 6,
        "batch_size": 8,
        "warmup_steps": 2,
        "monitor": "loss",
        "validate_every": 3,
        "checkpoint_every": 3,
        "tensorboard": False,
    },
    "evaluate": {"batch_size": 8, "generated": 12, "bootstrap": 20},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("prior") / "prior.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("prior-run") / "prior"


@pytest.fixture
def prior(verb, config, folder, tiny_run, tiny_data):
    """A prior's run, trained by the first test that asks."""
    if not (folder / "model.keras").exists():
        args = ("--config", config, "--data", tiny_data.folder, "--run", folder, "--tokenizer", tiny_run)
        assert verb("train", *args, "--json").status == 0
    return folder


@pytest.fixture(scope="module")
def picture(tiny_data):
    return next(tiny_data.folder.parent.glob("test*.png"))


@pytest.fixture(scope="module")
def sound(tiny_data):
    return next(tiny_data.folder.parent.glob("test*.wav"))


@pytest.fixture
def whole(verb, picture, folder, tiny_run):
    """The picture's codes, made by the first test that asks."""
    path = folder.with_name("whole.npz")
    if not path.exists():
        assert verb("tokenize", "--run", tiny_run, "--image", picture, "--out", path).status == 0
    return load_tokens(path)


def test_the_run_remembers_its_tokenizer(prior, tiny_run):
    held = json.loads((prior / "data.json").read_text())["tokenizer"]
    model = open_run(prior).model
    assert held["run"] == str(tiny_run)
    assert held["fingerprint"] == model.fingerprint == codebook_fingerprint(open_run(tiny_run).model)
    assert model.labels == ("0", "1", "2", "3") and int(model.step) == 6
    lines = [json.loads(line) for line in (prior / "metrics.jsonl").read_text().splitlines()]
    assert {"loss", "nats_shared", "nats_image", "nats_audio"} <= set(lines[-1])


def test_a_run_that_was_stopped_ends_in_the_same_weights(verb, prior, config, tmp_path, tiny_run, tiny_data):
    half = tmp_path / "half"
    args = ("--config", config, "--data", tiny_data.folder, "--run", half, "--tokenizer", tiny_run)
    shutil.copytree(prior, half)
    (half / "model.keras").unlink()
    for path in half.glob("checkpoints/*/*-6.*"):
        path.unlink()
    last = str(half / "checkpoints" / "last")
    update = tf.compat.v1.train.update_checkpoint_state
    update(last, "ckpt-3", ["ckpt-3"], all_model_checkpoint_timestamps=[1.0], last_preserved_timestamp=0.0)
    done = verb("train", *args)
    assert done.status == 0 and "at step 3 of 6" in done.err
    ours, theirs = (open_run(path).model.get_weights() for path in (half, prior))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_token_files_teach_the_same_as_the_data_that_they_are_of(
    verb, prior, config, tmp_path, tiny_run, tiny_data
):
    tokens = tmp_path / "tokens"
    args = ("--run", tiny_run, "--data", tiny_data.folder, "--split", "train", "validation", "--out", tokens)
    assert verb("tokenize", *args).status == 0
    args = ("--config", config, "--tokens", tokens, "--run", tmp_path / "run")
    said = verb("train", *args, "--tokenizer", tiny_run)
    assert said.status == 0, said
    ours, theirs = open_run(tmp_path / "run").model, open_run(prior).model
    assert ours.labels == theirs.labels
    assert all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True))
    last = [read_metrics(run / "metrics.jsonl")[-1]["loss"] for run in (tmp_path / "run", prior)]
    assert last[0] == last[1]
    held = json.loads((tmp_path / "run" / "data.json").read_text())
    assert held["name"] == "tokens" and held["tokenizer"]["fingerprint"] == ours.fingerprint
    said = verb("train", *args, "--tokenizer", tiny_run, "--set", "prior.dim=16").refusal()
    assert "prior.dim" in said
    said = verb("train", "--config", tiny_run / "config.yaml", *args[2:]).refusal()
    assert "--tokens goes with the config of a prior" in said


def test_another_codebook_is_refused_with_both_names(verb, prior, config, tmp_path, tiny_run, tiny_data):
    other = tmp_path / "other"
    shutil.copytree(tiny_run, other)
    model = open_run(other).model
    table = np.asarray(model.quantizer.table("shared"))
    model.quantizer.place("shared", table[::-1])
    model.save(other / "model.keras")
    args = ("--config", config, "--data", tiny_data.folder, "--run", prior, "--tokenizer", other)
    names = (open_run(prior).model.fingerprint, codebook_fingerprint(model))
    said = verb("train", *args).refusal()
    assert all(name in said for name in names)
    said = verb(
        "generate", "--run", prior, "--tokenizer", other, "--unconditional", 1, "--out", tmp_path / "x"
    )
    assert all(name in said.refusal() for name in names)


def test_pairs_are_drawn_into_a_folder_that_is_whole(verb, prior, tmp_path):
    out = tmp_path / "pairs"
    args = ("--run", prior, "--unconditional", 3, "--label", "2", "--guidance", 0.5, "--out", out)
    said = json.loads(verb("generate", *args, "--json").out)
    assert said["steps"] == 3 and said["guidance"] == 0.5
    assert all((out / name).exists() for name in said["files"]) and not list(tmp_path.glob(".*"))
    with Image.open(out / "image" / "0002.png") as drawn:
        assert drawn.size == (16, 16)
    samples, rate = soundfile.read(out / "audio" / "0002.wav")
    assert rate == 2000 and len(samples) == 1024
    page = (out / "index.html").read_text()
    assert page.count("<audio") == 3 and "guidance" in page
    tokens = [
        load_tokens(out / f"{name}.npz", open_run(prior).model.fingerprint) for name in ("image", "audio")
    ]
    np.testing.assert_array_equal(tokens[0].shared, tokens[1].shared)  # a pair has the same shared codes
    assert tokens[1].frame_rate == pytest.approx(tokens[1].grid[0] * 2000 / 1024)
    before = (out / "image" / "0000.png").read_bytes()
    assert verb("generate", *args).status == 0  # the same folder again: its own to replace
    assert (out / "image" / "0000.png").read_bytes() == before


def test_the_other_modality_comes_from_the_shared_codes_of_the_source(verb, prior, sound, picture, tmp_path):
    for given, to, path in (("audio", "image", sound), ("image", "audio", picture)):
        args = ("--run", prior, f"--from-{given}", path, "--to", to, "--n", 2, "--out", tmp_path / to)
        assert verb("generate", *args).status == 0
        assert len(list((tmp_path / to / to).iterdir())) == 2
        tokens = load_tokens(tmp_path / to / f"{to}.npz")
        assert (tokens.shared[0] == tokens.shared[1]).all()


def test_each_source_has_files_of_its_own(verb, prior, whole, tmp_path):
    both = join_tokens([replace(whole, ids=[id]) for id in ("pen/one.7", "ink/one.9", "ink_one.9")])
    save_tokens(tmp_path / "both.npz", both)
    args = ("--run", prior, "--from-tokens", tmp_path / "both.npz", "--n", 1, "--out", tmp_path / "out")
    said = json.loads(verb("generate", *args, "--json").out)["files"]
    assert [name for name in said if name.endswith(".wav")] == [
        "audio/pen_one.7.wav",
        "audio/ink_one.9.wav",
        "audio/ink_one.9-2.wav",
    ]
    assert len(list((tmp_path / "out" / "audio").iterdir())) == 3


def test_inpainting_keeps_what_is_not_hidden(verb, prior, picture, whole, tmp_path):
    args = ("--run", prior, "--from-image", picture, "--inpaint", "0.5:1", "--keep-shared")
    assert verb("generate", *args, "--n", 2, "--out", tmp_path / "lower").status == 0
    drawn = load_tokens(tmp_path / "lower" / "image.npz")
    assert (drawn.shared == whole.shared).all()
    assert (drawn.private[:, :32] == whole.private[:, :32]).all()
    assert (drawn.private[:, 32:] != whole.private[:, 32:]).any()


def test_mistakes_are_told_in_a_line(verb, prior, tiny_run, picture, sound, whole, tmp_path):
    out = ("--out", tmp_path / "no")

    def said(*args):
        return verb("generate", "--run", prior, *args, *out).refusal()

    assert "no condition to guide by" in said("--unconditional", 1, "--guidance", 1)
    assert "--keep-shared" in said("--from-image", picture, "--inpaint", "0:1", "--guidance", 1)
    assert "keeps nothing of the image" in said("--from-image", picture, "--inpaint", "0:1")
    save_tokens(tmp_path / "a.npz", whole)
    for source in (("--from-image", picture), ("--from-tokens", tmp_path / "a.npz")):
        found = said(*source, "--inpaint", "0.5:1", "--to", "audio")
        assert "a part of the image anew; leave --to audio out" in found
    assert "--n 2 goes with a source" in said("--unconditional", 1, "--n", 2)
    assert "hides none" in said("--from-image", picture, "--inpaint", "0.5:0.51")
    assert "--to image" in said("--from-audio", sound, "--to", "audio")
    assert "no such label" in said("--unconditional", 1, "--label", "nine")
    assert "from 1 on" in said("--unconditional", 0)
    assert "from 0 on" in said("--unconditional", 1, "--seed", -1)
    assert "0 to 4294967295" in said("--unconditional", 1, "--seed", 2**32)
    for name in ("guidance", "temperature"):
        assert "finite" in said("--unconditional", 1, "--label", "1", f"--{name}", "inf")
    assert "--top-p 0.0" in said("--unconditional", 1, "--top-p", 0)
    assert "--guidance 1e+38" in said("--unconditional", 1, "--label", "1", "--guidance", 1e38)
    assert "from 0 to 100" in said("--unconditional", 1, "--temperature", 1e9)
    assert "at most 8 codes (shared 4, image 8, audio 8)" in said("--unconditional", 1, "--top-k", 9)
    assert "no such file" in said("--from-audio", tmp_path / "none.wav")
    assert "no prior" in verb("generate", "--run", tiny_run, "--unconditional", 1, *out).refusal()
    save_tokens(tmp_path / "b.npz", replace(whole, fingerprint="0" * 16))
    assert "0" * 16 in said("--from-tokens", tmp_path / "b.npz", "--to", "audio")
    (tmp_path / "no").mkdir()
    (tmp_path / "no" / "mine.txt").write_text("")
    assert "not empty" in said("--unconditional", 1)


def test_an_autoregressive_prior_says_what_it_cannot_do(verb, prior, picture, tmp_path):
    shutil.copytree(prior, tmp_path / "causal")
    settings = open_run(prior).model.get_config() | {"kind": "autoregressive"}
    Prior.from_config(settings).save(tmp_path / "causal" / "model.keras")
    args = ("--run", tmp_path / "causal", "--out", tmp_path / "out", "--from-image", picture)
    assert "--steps 3" in verb("generate", *args, "--steps", 3).refusal()
    assert "give --keep-shared" in verb("generate", *args, "--inpaint", "0.5:1").refusal()
    assert verb("generate", *args, "--inpaint", "0.5:1", "--keep-shared", "--n", 1).status == 0


def test_codes_that_do_not_fit_the_prior_are_refused(verb, prior, whole, tmp_path):
    def said(**parts):
        save_tokens(tmp_path / "bad.npz", replace(whole, **parts))
        args = ("--run", prior, "--from-tokens", tmp_path / "bad.npz", "--out", tmp_path / "no")
        answers = {verb("generate", *args, *more).refusal() for more in ((), ("--inpaint", "0.5:1"))}
        (line,) = answers
        assert "tokenize" in line
        return line

    shared, image, _ = open_run(prior).model.tokens.sections

    def with_code(codes, code):
        return np.where(np.arange(codes.shape[1]) == 1, code, codes.astype(int))

    assert "no items" in said(
        ids=[], shared=whole.shared[:0], private=whole.private[:0], sizes=np.zeros((0, 2))
    )
    columns = whole.shared.shape[1]
    assert f"has {columns - 1} shared codes" in said(shared=whole.shared[:, 1:])
    assert "has 32 image codes an item, expected 64" in said(private=whole.private[:, :32], grid=(4, 8))
    assert "(4, 16)" in said(grid=(4, 16))
    for code in (image.start, 10**6):
        found = said(shared=with_code(whole.shared, code))
        assert f"has {code} as shared code 1; legal: {shared.start} to {shared.stop - 1}" in found
    for code in (0, image.stop):
        assert f"legal: {image.start} to {image.stop - 1}" in said(private=with_code(whole.private, code))


def test_a_prior_is_judged_by_what_it_draws(verb, prior, tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr(extractors, "FEWEST", 8)
    monkeypatch.setattr(extractors, "STEPS", 30)
    done = verb("evaluate", "--run", prior, "--data", tiny_data.folder, "--out", tmp_path, "--json")
    made = json.loads(done.out)["generation"]
    assert made == json.loads((tmp_path / "evaluation.json").read_text())["generation"]
    assert 0 <= made["audio_to_image"]["coherence"]["value"] <= 1 and "masked" in made["prior"]
    assert made["unconditional"]["joint_coherence"]["n"] == 12
    for name in ("image", "audio"):
        assert np.isfinite(made["unconditional"][name]["reconstructed"]["frechet"]["value"])
        assert 0 <= made["nearest_training"][name]["copies"]["value"] <= 1
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Is it learned by heart?" in page and page.count("<audio") > 12
    assert isinstance(open_run(prior).model, keras.Model)
