"""What becomes of a run when the world around it is not as it was; the train command in this process."""

import json
import shutil
import time

import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import save_config


@pytest.fixture
def train(verb, tiny_config, tiny_data, tmp_path):
    """Calls the command on the tiny data, or on other data."""
    save_config(tiny_config, tmp_path / "tiny.yaml")

    def call(run, *changes, data=tiny_data.folder):
        given = ("--config", tmp_path / "tiny.yaml", "--data", data, "--run", run)
        return verb("train", *given, *(("--set", *changes) if changes else ()), "--json")

    return call


@pytest.fixture
def run(tiny_run, tmp_path):
    """A finished run that may be harmed."""
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def data(tiny_data, tmp_path):
    """Data that may be harmed."""
    shutil.copytree(tiny_data.folder, tmp_path / "data")
    return tmp_path / "data"


def state(run, step=12):
    reader = tf.train.load_checkpoint(str(run / "checkpoints" / "last" / f"ckpt-{step}"))
    names = [n for n in reader.get_variable_to_shape_map() if n.endswith("VARIABLE_VALUE")]
    return {name: reader.get_tensor(name) for name in names}


def test_a_damaged_checkpoint_gives_way_to_the_one_before_though_the_clock_has_gone_back(
    train, run, tiny_run, monkeypatch
):
    last = run / "checkpoints" / "last"
    newest = last / "ckpt-12.data-00000-of-00001"
    newest.write_bytes(newest.read_bytes()[:1000])
    ticks = iter(range(10**9, 0, -3600))  # an hour back at every look, in the year 2001
    monkeypatch.setattr(time, "time", lambda: float(next(ticks)))
    said = train(run)
    assert said.status == 0, said
    assert f"a checkpoint cannot be read, the one before it is taken: {last / 'ckpt-12'}: " in said.err
    assert f"continuing {run} at step 6 of 12" in said.err
    assert json.loads(said.out)["step"] in (6, 12)
    wanted, found = state(tiny_run), state(run)
    assert wanted.keys() == found.keys() and len(wanted) > 50
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert {p.stem for p in last.glob("*.index")} == {"ckpt-6", "ckpt-12"}


def test_a_run_is_finished_from_the_last_checkpoint_where_the_best_is_damaged(train, run, our_messages):
    """And the last is the newest, not the one that TensorFlow's list of them names."""
    (run / "model.keras").unlink()
    (best,) = (run / "checkpoints" / "best").glob("*.data-*")
    best.write_bytes(best.read_bytes()[:1000])
    state = run / "checkpoints" / "last" / "checkpoint"
    state.write_text(state.read_text().replace("ckpt-12", "ckpt-6"))
    said = train(run)
    assert said.status == 0 and json.loads(said.out)["step"] == 12, said
    (told,) = our_messages()
    assert f"a checkpoint cannot be read, the next one is taken: {best.with_suffix('')}: " in told


def test_a_board_that_cannot_be_written_does_not_end_the_run(train, run, our_messages, nudging_steps):
    (run / "tensorboard").touch()
    said = train(run, "train.steps=13", "train.tensorboard=true")
    assert said.status == 0 and (run / "checkpoints" / "last" / "ckpt-13.index").exists(), said
    (told,) = our_messages()
    assert f"cannot write {run / 'tensorboard'}: " in told and "goes on without TensorBoard" in told


def test_another_config_is_refused_with_the_difference(train, run):
    before = (run / "config.yaml").read_bytes()
    told = train(run, "train.batch_size=6", "train.accumulate=2").refusal()
    assert "train.batch_size" in told and "train.accumulate" in told and "Give another --run" in told
    assert (run / "config.yaml").read_bytes() == before


@pytest.mark.parametrize("harm, told", [("removed", "is missing"), ("truncated", "is damaged")])
def test_a_shard_that_is_not_as_it_was_left_is_named(train, data, tmp_path, harm, told):
    shard = next(data.glob("image-train-*.tfrecord"))
    if harm == "removed":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-100])
    said = train(tmp_path / "new", data=data)
    assert said.status == 2 and "Traceback" not in said.err
    assert said.err.splitlines()[-1].startswith(f"train: {shard} {told}")
    assert not list(tmp_path.glob("new/checkpoints/*/*.index"))
