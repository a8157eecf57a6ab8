"""A vocoder through the verbs: trained, resumed, put in place of Griffin-Lim, refused."""

import json
import shutil

import numpy as np
import pytest
import soundfile
import yaml

from vqmm.data.file_records import file_records
from vqmm.encoding import encode_records
from vqmm.models import Codes
from vqmm.training.run_folder import open_run

SETTINGS = {
    "name": "tiny-vocoder",
    "model": {"discriminator": {"filters": [8, 8]}},
    "loss": {"adversarial": {"feature_matching": 1}},
    "schedule": {"discriminator_from": 1, "adversarial_from": 2, "adversarial_ramp": 0},
    "vocoder": {
        "n_fft": 64,
        "dim": 8,
        "depth": 1,
        "fine_dim": 8,
        "fine_depth": 1,
        "segment": 16,
        "windows": [32, 128],
        "judged": [64],
    },
    "train": {
        "steps": 4,
        "batch_size": 4,
        "warmup_steps": 1,
        "monitor": "mel",
        "model": "last",
        "validate_every": 2,
        "checkpoint_every": 2,
        "tensorboard": False,
    },
    "evaluate": {"batch_size": 8},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocoder") / "vocoder.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("vocoder-run") / "vocoder"


@pytest.fixture
def vocoder(verb, config, folder, tiny_run, tiny_data):
    """A vocoder's run, trained by the first test that asks."""
    if not (folder / "model.keras").exists():
        args = ("--config", config, "--data", tiny_data.folder, "--run", folder, "--tokenizer", tiny_run)
        said = verb("train", *args, "--json")
        assert said.status == 0, said
        assert json.loads(said.out)["step"] == 4 and "mel" in json.loads(said.out)["figures"]
    return folder


def test_a_run_that_is_continued_ends_in_the_same_weights(
    verb, vocoder, config, tiny_run, tiny_data, tmp_path
):
    args = (
        "--config",
        config,
        "--data",
        tiny_data.folder,
        "--run",
        tmp_path / "again",
        "--tokenizer",
        tiny_run,
    )

    shutil.copytree(vocoder, tmp_path / "again")
    (tmp_path / "again" / "model.keras").unlink()
    checkpoints = sorted((tmp_path / "again" / "checkpoints" / "last").glob("*-4.*"))
    assert checkpoints
    for file in checkpoints:  # as if it had been killed after step 2
        file.unlink()
    state = tmp_path / "again" / "checkpoints" / "last" / "checkpoint"
    state.write_text(state.read_text().replace("-4", "-2"))
    said = verb("train", *args)
    assert said.status == 0 and "at step 2 of 4" in said.err, said
    one, other = (open_run(path).model for path in (vocoder, tmp_path / "again"))
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)


def test_reconstruct_speaks_with_it(verb, vocoder, tiny_run, tiny_data, tmp_path):
    source, out = tiny_data.folder.parent / "test1.wav", tmp_path / "spoken.wav"
    said = verb("reconstruct", "--run", tiny_run, "--audio", source, "--vocoder", vocoder, "--out", out)
    assert said.status == 0 and said.out.strip() == str(out), said
    tokenizer, speaker = open_run(tiny_run), open_run(vocoder)
    records = file_records([source], "audio", tokenizer.config.data)
    encoded = encode_records(tokenizer.model, records, tokenizer.config, "audio")
    log_mel = tokenizer.model.decode(Codes(encoded.shared, encoded.private), "audio")
    length = soundfile.info(source).frames
    before = (1024 - length + 1) // 2
    wanted = np.clip(np.asarray(speaker.model(log_mel))[0], -1, 1)[before : before + length]
    found, rate = soundfile.read(out)
    assert rate == 2000
    np.testing.assert_allclose(found, wanted, atol=2e-4)


def test_another_log_mel_is_refused(verb, vocoder, config, tiny_run, tiny_data, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    settings = yaml.safe_load((vocoder / "config.yaml").read_text())
    settings["model"]["log_mel"]["hop_length"] = 16
    (wrong / "config.yaml").write_text(yaml.safe_dump(settings))
    args = ("--run", tiny_run, "--audio", tiny_data.folder.parent / "test1.wav", "--out", tmp_path / "x.wav")
    told = verb("reconstruct", *args, "--vocoder", wrong).refusal()
    assert "model.log_mel.hop_length 16 and not 32" in told
    assert "holds no vocoder" in verb("reconstruct", *args, "--vocoder", tiny_run).refusal()
    assert "holds no run" in verb("reconstruct", *args, "--vocoder", tmp_path).refusal()
    train = (
        "--config",
        config,
        "--data",
        tiny_data.folder,
        "--run",
        tmp_path / "new",
        "--tokenizer",
        tiny_run,
    )
    told = verb("train", *train, "--set", "model.log_mel.mels=20").refusal()
    assert "model.log_mel.mels 20 and not 16" in told
    told = verb("train", *train, "--set", "vocoder.n_fft=50").refusal()
    assert "vocoder: n_fft=50, hop_length=16" in told


def test_a_vocoder_is_no_tokenizer(verb, vocoder, tiny_data, tmp_path):
    data = ("--data", tiny_data.folder)
    told = verb("reconstruct", "--run", vocoder, *data, "--out", tmp_path / "x").refusal()
    assert "holds a vocoder, which has no codes" in told
    assert "benchmarks.vocoder" in verb("evaluate", "--run", vocoder, *data).refusal()
