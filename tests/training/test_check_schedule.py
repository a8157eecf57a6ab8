"""A run that ends before something begins is refused; a model without codes is opened by no one."""

from pathlib import Path

import keras
import numpy as np
import pytest

from vqmm.commands import compare
from vqmm.config import Config, load_config, save_config
from vqmm.errors import UserError
from vqmm.export.signatures import tensor_signatures
from vqmm.models import build_model
from vqmm.retrieval.model_index import index_for
from vqmm.training.check_schedule import check_schedule, unfinished_ramps
from vqmm.training.codebook_start import start_codebook
from vqmm.training.loop import train
from vqmm.training.model_file import save_model
from vqmm.training.run_folder import RunFolder, check_run, open_run

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))
DIGITS = {
    path.stem: path for path in CONFIGS if path.parent.name == "configs" and path.stem.startswith("digits")
}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_all_configs_of_the_project_reach_what_they_ask_for(path):
    config = load_config(path)
    check_schedule(config)
    assert not unfinished_ramps(config)


@pytest.mark.parametrize(
    "name, change, said",
    [
        ("digits", "train.steps=400", ["train.steps=400", "schedule.quantize_from=900", "above 900"]),
        ("digits", "train.steps=900", ["train.steps=900", "codebook is random"]),
        ("digits", "schedule.quantize_from=1800", ["train.steps=1800", "below 1800"]),
        ("digits-vqgan", "train.steps=1000", ["adversarial_from=1000", "loss.adversarial.weight=0"]),
        ("digits-vocoder", "train.steps=1000", ["adversarial_from=1000", "vocoder.judged=[]"]),
        ("digits", "train.warmup_steps=1800", ["train.warmup_steps=1800", "learning rate"]),
        ("digits-prior", "train.steps=50", ["train.warmup_steps=50", "train.steps above 50"]),
        ("digits-vocoder", "train.warmup_steps=5000", ["train.warmup_steps=5000"]),
    ],
)
def test_a_run_that_ends_before_something_begins_is_refused(name, change, said, tmp_path):
    config = load_config(DIGITS[name], [change])
    for check in (check_schedule, lambda c: check_run(tmp_path / "run", c, {"checksum": "x"})):
        with pytest.raises(UserError) as refused:
            check(config)
        assert all(part in str(refused.value) for part in said), refused.value
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name, changes",
    [
        ("digits", ["train.steps=901"]),
        ("digits", ["train.steps=400", "model.kind=vae"]),  # has no codes
        ("digits-vqgan", ["train.steps=950", "loss.adversarial={weight: 0, feature_matching: 0}"]),
        ("digits-vocoder", ["train.steps=400", "vocoder.judged=[]"]),
        ("digits-prior", ["train.steps=60"]),  # its tokenizer has the codes
    ],
)
def test_what_a_run_does_not_ask_for_is_not_required(name, changes):
    check_schedule(load_config(DIGITS[name], changes))


def test_a_term_that_does_not_reach_its_weight_is_said():
    lines = unfinished_ramps(load_config(DIGITS["digits"], ["model.kind=vae", "train.steps=200"]))
    assert lines == [
        "the KL term will reach 40% of its weight: schedule.kl_ramp=500, and 200 steps are left for it"
    ]


def test_the_example_of_the_help_can_be_run():
    from vqmm.commands.train import EXAMPLES

    line = next(line for line in EXAMPLES.splitlines() if "--set" in line and "steps" in line)
    check_schedule(load_config(DIGITS["digits"], line.partition("--set")[2].split()))


def test_training_and_compare_refuse_it_before_they_begin(tiny_config, tiny_data, tmp_path, monkeypatch):
    short = tiny_config.model_copy(update={"train": tiny_config.train.model_copy(update={"steps": 4})})
    with pytest.raises(UserError, match="quantize_from=4"):
        train(short, tiny_data, tmp_path / "run")
    save_config(short, tmp_path / "short.yaml")
    with pytest.raises(UserError, match=r"short\.yaml: train\.steps=4"):
        compare._check_model(tmp_path / "short.yaml", short)
    assert not (tmp_path / "run").exists()


def unquantized_run(config: Config, folder: Path, steps: int) -> Path:
    """Writes what earlier versions left of a run that ended before its codes started."""
    config = config.model_copy(update={"train": config.train.model_copy(update={"steps": steps})})
    model = build_model(config)
    model.step.assign(3)
    folder.mkdir()
    save_config(config, RunFolder(folder).config)
    save_model(model, RunFolder(folder).model)
    return folder


@pytest.mark.parametrize("steps, more", [(4, "--set train.steps=8"), (12, "the command that began it,")])
def test_a_run_without_codes_is_opened_by_no_one(tiny_config, tmp_path, steps, more):
    folder = unquantized_run(tiny_config, tmp_path / "run", steps)
    for coded in (False, True):
        with pytest.raises(UserError) as refused:
            open_run(folder, coded=coded)
        assert "step 3" in str(refused.value) and "schedule.quantize_from=4" in str(refused.value)
        assert more in str(refused.value)


def test_whether_codes_have_started_is_saved_with_the_model(tiny_config, tiny_data, tmp_path):
    model = build_model(tiny_config)
    assert not model.codes_started
    model.quantizer.start()
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras", compile=False).codes_started


def test_fit_of_a_model_whose_codes_nothing_would_start_says_what_to_do(tiny_config):
    rng = np.random.default_rng(0)
    batch = {
        "audio": rng.uniform(-0.5, 0.5, (4, 1024)).astype("float32"),
        "image": rng.uniform(0, 1, (4, 16, 16, 1)).astype("float32"),
        "audio_mask": np.ones(4, bool),
        "image_mask": np.ones(4, bool),
    }
    model = build_model(tiny_config)
    model.compile(keras.optimizers.Adam(), run_eagerly=True)
    before = [np.asarray(v) for v in model.trainable_variables]
    for call in (model.fit, model.train_on_batch):
        with pytest.raises(RuntimeError, match="codes have not started.*vqmm.training.loop.train"):
            call(batch)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    start_codebook(model, [{name: np.asarray(value) for name, value in batch.items()}])
    assert "loss" in model.fit(batch, verbose=0).history


def test_a_model_without_codes_is_neither_exported_nor_indexed(tiny_config):
    model = build_model(tiny_config)
    for use in (lambda: tensor_signatures(model), lambda: index_for(model, tiny_config)):
        with pytest.raises(UserError, match="step 0 gives no codes"):
            use()
    model.quantizer.start()
    assert index_for(model, tiny_config).count() == 0 and "encode_image" in tensor_signatures(model)
