"""Training in this process: what a run leaves, and what becomes of a second call."""

import functools
import os
import signal

import keras
import numpy as np
import pytest

from vqmm.config import Config
from vqmm.data.batches import training_batches
from vqmm.data.prepare import prepare
from vqmm.errors import UserError
from vqmm.models import build_model
from vqmm.training import loop
from vqmm.training.best import BestSoFar
from vqmm.training.loop import train
from vqmm.training.metrics_log import read_metrics
from vqmm.training.progress import TrainingProgress
from vqmm.training.run_folder import RunFolder, open_run
from vqmm.training.stop_signals import Interrupted


def changed(config: Config, **values) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update=values)})


def same_weights(a, b) -> bool:
    pairs = zip(a.weights, b.weights, strict=True)
    return all((np.asarray(x) == np.asarray(y)).all() for x, y in pairs)


def taught_gan(config: Config, steps: int) -> Config:
    tree = config.model_dump()
    tree["model"] |= {"kind": "vqgan", "discriminator": {"filters": (8, 8), "audio_scales": 1}}
    tree["loss"] |= {"features": "taught"}
    tree["schedule"] |= {"quantize_from": steps // 2, "adversarial_from": steps // 2}
    tree["train"] |= {"model": "last", "steps": steps, "warmup_steps": 1}
    return Config.model_validate(tree)


class Watching(TrainingProgress):
    """Calls back at every line of figures and keeps what is said."""

    def __init__(self, steps, at_figures=None):
        super().__init__(steps)
        self.said = []
        self.at_figures = at_figures

    def say(self, text):
        self.said.append(text)

    def validated(self, step, figures, best):
        super().validated(step, figures, best)
        if self.at_figures:
            self.at_figures(step)


@pytest.fixture(scope="module")
def trained(tiny_config, tiny_data, tmp_path_factory):
    return train(tiny_config, tiny_data, tmp_path_factory.mktemp("runs") / "one", Watching(12))


def test_leaves_a_run_that_opens(trained, tiny_config):
    opened = open_run(trained.folder)
    assert opened.config == tiny_config
    assert opened.step == trained.step
    assert same_weights(opened.model, trained.model)
    assert not list(trained.folder.rglob("*.part*"))


def test_a_run_has_fine_codes_and_loads_in_safe_mode(trained, tiny_config, tiny_data):
    assert 1 <= trained.model.fine.codes <= tiny_config.model.quantizer.fine
    loaded = keras.saving.load_model(RunFolder(trained.folder).model, compile=False, safe_mode=True)
    batch = next(iter(training_batches(tiny_data, tiny_config)))
    both = (model.encode(audio=batch["audio"]) for model in (trained.model, loaded))
    for part, same in zip(*both, strict=True):
        np.testing.assert_array_equal(part, same)


def test_logs_train_and_validation_figures(trained):
    lines = read_metrics(RunFolder(trained.folder).metrics)
    assert [(line["step"], line["split"]) for line in lines] == [
        (6, "validation"),
        (12, "train"),
        (12, "validation"),
    ]
    assert {"loss", "pair_agreement", "steps_per_second", "contrastive"} <= set(lines[1])
    assert {"retrieval_map", "usage_shared", "usage_audio", "usage_image", "loss"} <= set(lines[2])
    assert lines[0]["seconds"] <= lines[1]["seconds"] <= lines[2]["seconds"]


def test_the_model_is_the_best_validated(trained):
    lines = [
        line for line in read_metrics(RunFolder(trained.folder).metrics) if line["split"] == "validation"
    ]
    best = max(lines, key=lambda line: (line["retrieval_map"], line["step"]))
    assert trained.step == best["step"]


def test_the_model_is_the_checkpoint_asked_for(
    coarse_config, tiny_data, tmp_path, monkeypatch, nudging_steps
):
    monkeypatch.setattr(BestSoFar, "see", lambda self, step, figures: step == 6)
    assert train(changed(coarse_config, model="best"), tiny_data, tmp_path / "run").step == 6
    RunFolder(tmp_path / "run").model.unlink()
    assert open_run(tmp_path / "run").step == 6
    assert train(changed(coarse_config, model="last"), tiny_data, tmp_path / "run").step == 12
    assert open_run(tmp_path / "run").step == 12


def test_a_finished_run_is_not_trained_again(trained, tiny_config, tiny_data):
    before = RunFolder(trained.folder).metrics.read_text()
    again = train(tiny_config, tiny_data, trained.folder, Watching(12))
    assert RunFolder(trained.folder).metrics.read_text() == before
    assert same_weights(again.model, trained.model)


def test_opens_before_it_is_finished_from_the_best_checkpoint(trained, tiny_data):
    model = RunFolder(trained.folder).model
    aside = model.rename(model.with_suffix(".aside"))
    try:
        opened = open_run(trained.folder)
    finally:
        aside.rename(model)
    assert opened.step == trained.step
    assert opened.model.fine is None and trained.model.fine is not None  # they come with the end
    finished = [w for w in trained.model.weights if w is not trained.model.fine.tables]
    for mine, theirs in zip(opened.model.weights, finished, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_signal_saves_and_the_next_call_ends_as_if_there_had_been_none(
    trained, tiny_config, tiny_data, tmp_path
):
    def send(step):
        if step == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="SIGTERM at step 6") as stop:
        train(tiny_config, tiny_data, tmp_path / "run", Watching(12, send))
    assert (stop.value.number, stop.value.step) == (signal.SIGTERM, 6)
    watching = Watching(12)
    done = train(tiny_config, tiny_data, tmp_path / "run", watching)
    assert watching.said[0].endswith("at step 6 of 12")
    assert done.step == trained.step
    assert same_weights(done.model, trained.model)


def test_nan_stops_with_the_term_and_no_bad_checkpoint(tiny_config, tiny_data, tmp_path):
    wild = changed(tiny_config, learning_rate=1e30, warmup_steps=0, checkpoint_every=1, validate_every=50)
    with pytest.raises(UserError, match="not finite") as told:
        train(wild, tiny_data, tmp_path, Watching(12))
    assert "train.learning_rate" in str(told.value)
    for path in tmp_path.glob("checkpoints/*/*.index"):
        assert str(path.with_suffix("")) in str(told.value)


def test_stops_early_and_stays_stopped(coarse_config, tiny_data, tmp_path, nudging_steps):
    still = changed(
        coarse_config, steps=40, learning_rate=1e-12, early_stop=2, validate_every=2, monitor="usage_shared"
    )
    watching = Watching(40)
    train(still, tiny_data, tmp_path, watching)
    before = RunFolder(tmp_path).metrics.read_text()
    last = read_metrics(RunFolder(tmp_path).metrics)[-1]["step"]
    assert last < 40
    train(still, tiny_data, tmp_path, watching)
    assert RunFolder(tmp_path).metrics.read_text() == before


def test_a_figure_to_follow_that_there_is_not_is_told_before_the_first_step(tiny_data, tiny_config, tmp_path):
    config = changed(tiny_config, monitor="los")
    with pytest.raises(UserError, match="train.monitor='los' is no validation figure.*did you mean 'loss'"):
        train(config, tiny_data, tmp_path)
    assert not list(tmp_path.glob("checkpoints/*/*.index")) and not read_metrics(RunFolder(tmp_path).metrics)


def test_a_vqgan_is_trained_taught_and_left_with_its_averages(
    coarse_config, tiny_data, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "teach_perceiver", functools.partial(loop.teach_perceiver, steps=20))
    watching = Watching(6)
    run = train(taught_gan(coarse_config, 6), tiny_data, tmp_path, watching)
    assert any("quarter turns" in line for line in watching.said)
    opened = open_run(tmp_path).model
    assert same_weights(opened, run.model)
    untaught = build_model(run.config).perceiver.variables
    for learned, fresh in zip(opened.perceiver.variables, untaught, strict=True):
        assert np.abs(np.asarray(learned) - np.asarray(fresh)).max() > 1e-3
    for average, variable in zip(opened.averages, opened.averaged_variables(), strict=True):
        np.testing.assert_array_equal(np.asarray(average), np.asarray(variable))
    lines = [line for line in read_metrics(RunFolder(tmp_path).metrics) if line["split"] == "train"]
    assert {"discriminator", "adversarial_weight_image", "perceptual_image"} <= set(lines[-1])


def recordings(tiny_data, tiny_config, folder, pictures):
    """The tones of `tiny_data`, with so many of its training pictures."""
    lines = ["audio,image,label,split"]
    for split, count in tiny_data.counts.items():
        lines += [f"{split}{n}.wav,,{n % 4},{split}" for n in range(count["recordings"])]
    lines += [f",train{n}.png,{n % 4},train" for n in range(pictures)]
    manifest = tiny_data.folder.parent / f"{folder.name}.csv"  # no file may lie above its manifest
    manifest.write_text("\n".join(lines) + "\n")
    return prepare(manifest, tiny_config, folder / "data", workers=1, progress=False).dataset


def test_without_pictures_a_vqgan_teaches_no_features(coarse_config, tiny_data, tmp_path, nudging_steps):
    heard = recordings(tiny_data, coarse_config, tmp_path, pictures=0)
    watching = Watching(2)
    run = train(taught_gan(coarse_config, 2), heard, tmp_path / "run", watching)
    assert run.step == 2
    assert any(line.startswith("no perceptual features are taught") for line in watching.said)


@pytest.mark.slow
def test_without_pictures_a_vqgan_trains(coarse_config, tiny_data, tmp_path):
    heard = recordings(tiny_data, coarse_config, tmp_path, pictures=0)
    assert train(taught_gan(coarse_config, 2), heard, tmp_path / "run", Watching(2)).step == 2


def test_too_few_pictures_to_teach_features_on_are_told(tiny_config, tiny_data, tmp_path):
    heard = recordings(tiny_data, tiny_config, tmp_path, pictures=1)
    with pytest.raises(UserError, match="loss.features=taught: 1 pictures to teach on.*loss.features=random"):
        train(taught_gan(tiny_config, 2), heard, tmp_path / "run", Watching(2))


def test_a_vae_is_trained_and_judged_by_its_continuous_latents(tiny_config, tiny_data, tmp_path):
    tree = tiny_config.model_dump()
    tree["model"] |= {"kind": "vae"}
    tree["train"] |= {"steps": 6, "tensorboard": True}
    run = train(Config.model_validate(tree), tiny_data, tmp_path, Watching(6))
    assert same_weights(open_run(tmp_path).model, run.model) and list(tmp_path.glob("tensorboard/*/events*"))
    lines = read_metrics(RunFolder(tmp_path).metrics)
    assert lines[-1]["split"] == "validation" and lines[-1]["retrieval_map"] > 0
    assert not any(name.startswith("usage") for name in lines[-1])
    with pytest.raises(UserError, match="holds a VAE, which has no codes"):
        open_run(tmp_path, coded=True)


def test_mixed_precision_loses_little_and_keeps_weights_and_codes_whole(
    trained, coarse_config, tiny_data, tmp_path
):
    config = changed(coarse_config, mixed_precision=True, tensorboard=True)
    run = train(config, tiny_data, tmp_path, Watching(12))
    assert {p.name for p in (tmp_path / "tensorboard").iterdir()} == {"train", "validation"}
    last, plain = (
        next(line for line in read_metrics(RunFolder(folder).metrics) if line["split"] == "train")
        for folder in (tmp_path, trained.folder)
    )
    for name in ("loss", "reconstruction_audio", "reconstruction_image"):
        assert last[name] != plain[name] and last[name] == pytest.approx(plain[name], rel=0.05), name
    model = run.model
    assert {str(w.dtype) for w in model.trainable_weights} == {"float32"}
    assert {model.encoders[m].compute_dtype for m in model.encoders} == {"bfloat16"}
    found = model.quantizer(np.zeros((1, 2, 8), "float32"), range="shared")
    assert str(found.values.dtype.name) == "float32" == str(model.quantizer.codebook.dtype)
