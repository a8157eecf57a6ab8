"""Reading, merging and refusing configs."""

from pathlib import Path

import pytest

from vqmm.config import Config, load_config, save_config
from vqmm.errors import UserError

CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.yaml"))


def written(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_project_loads(path):
    assert load_config(path).name == path.stem


def test_extends_merges_deeply_and_overrides_come_last(tmp_path):
    written(tmp_path, "base.yaml", "train: {steps: 5, batch_size: 7}\nseed: 3\n")
    path = written(tmp_path, "child.yaml", "extends: base.yaml\ntrain: {steps: 6}\n")
    config = load_config(path, ["train.steps=9", "model.filters=[1, 2]"])
    assert (config.seed, config.train.batch_size, config.train.steps) == (3, 7, 9)
    assert config.model.filters == (1, 2)


def test_what_is_saved_reads_back_the_same(tmp_path):
    config = load_config(CONFIGS[0], ["seed=5"])
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("text", "overrides", "words"),
    [
        ("train: {stpes: 4}", [], ["train.stpes", "value 4", "did you mean 'steps'", "batch_size"]),
        ("modle: {}", [], ["'modle'", "did you mean 'model'"]),
        ("train: {steps: many}", [], ["train.steps='many'", "integer"]),
        ("train: {steps: 0}", [], ["train.steps=0", "greater than or equal to 1"]),
        ("prior: {sampling: {guidance: {image: .inf}}}", [], ["guidance", "inf", "finite"]),
        ("prior: {sampling: {guidance: 1.0e+38}}", [], ["prior.sampling.guidance", "1e+38", "100"]),
        ("prior: {sampling: {temperature: {audio: 1.0e+9}}}", [], ["temperature", "1000000000.0", "100"]),
        ("train: {clip_norm: .inf}", [], ["train.clip_norm=inf", "finite"]),
        ("", ["train.learning_rate=.inf"], ["train.learning_rate=inf", "finite"]),
        ("", ["train.weight_decay=.nan"], ["train.weight_decay=nan", "finite"]),
        ("", ["model.log_mel.fmax=.inf"], ["model.log_mel.fmax=inf", "finite"]),
        ("augment: {audio: {noise_snr_db: [5, .inf]}}", [], ["augment.audio.noise_snr_db.1=inf", "finite"]),
        (
            "schedule: {discriminator_from: 900}",
            [],
            ["schedule: adversarial_from=500 is before discriminator_from=900", "take 900 or more"],
        ),
        (
            "loss: {adversarial: {hold_below: 0.9, hold_above: 0.6}}",
            [],
            ["loss.adversarial: hold_below=0.9 is above hold_above=0.6", "take 0.6 or less"],
        ),
        ("train: {mixed_precision: half}", [], ["train.mixed_precision='half'", "'bfloat16' or 'float16'"]),
        ("model: {layout: line}", [], ["model.layout='line'", "'slots' or 'grid'"]),
        ("- a", [], ["holds a list"]),
        ("a: [", [], ["not valid YAML"]),
        ("extends: nowhere.yaml", [], ["cannot read", "nowhere.yaml"]),
        ("extends: bad.yaml", [], ["in a circle"]),
        ("seed: 1", ["train.steps"], ["section.key=value"]),
    ],
)
def test_refuses_with_the_key_the_value_and_what_is_legal(tmp_path, text, overrides, words):
    path = written(tmp_path, "bad.yaml", text)
    with pytest.raises(UserError) as caught:
        load_config(path, overrides)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("value", [True, False, "bfloat16", "float16"])
def test_half_precision_is_a_yes_or_no_or_a_format(value, tmp_path):
    config = load_config(CONFIGS[0], [f"train.mixed_precision={value}"])
    assert config.train.mixed_precision is value or config.train.mixed_precision == value
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


def test_is_immutable():
    with pytest.raises(ValueError, match="frozen"):
        Config().seed = 4
