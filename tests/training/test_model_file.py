"""The model of a run whose checkpoints are not all as they were left."""

import shutil

import numpy as np
import pytest

from vqmm.config import save_config
from vqmm.errors import UserError
from vqmm.models import build_model
from vqmm.training.checkpoints import Checkpoints
from vqmm.training.model_file import model_from_checkpoint
from vqmm.training.run_folder import RunFolder, open_run


@pytest.fixture(scope="module")
def written(tiny_config, tmp_path_factory):
    """A run with checkpoints of the steps 6 and 12, of which the best is that of 6."""
    run = RunFolder(tmp_path_factory.mktemp("runs") / "written")
    model = build_model(tiny_config)
    model.quantizer.start()
    checkpoints = Checkpoints(run.last, run.best, model, [], 2)
    for step in (6, 12):
        model.step.assign(step)
        checkpoints.save()
        if step == 6:
            checkpoints.save_best()
    save_config(tiny_config, run.config)
    return run


@pytest.fixture
def run(written, tmp_path):
    """One that may be harmed."""
    shutil.copytree(written.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def of(config, which):
    return config.model_copy(update={"train": config.train.model_copy(update={"model": which})})


def cut(folder, step):
    data = folder / f"ckpt-{step}.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])


def test_the_newest_counts_though_tensorflows_list_was_not_written_any_more(tiny_config, run):
    """A process was killed between a checkpoint and the list of them."""
    state = run.last / "checkpoint"
    state.write_text(state.read_text().replace("ckpt-12", "ckpt-6"))
    model = model_from_checkpoint(of(tiny_config, "last"), [run.last, run.best])
    assert int(model.step) == 12
    checkpoints = Checkpoints(run.last, run.best, model, [], 2)
    assert checkpoints.last_path == str(run.last / "ckpt-12") and checkpoints.restore() == 12


def test_the_best_is_found_without_tensorflows_list(run):
    (run.best / "checkpoint").unlink()
    assert open_run(run.path).step == 6
    shutil.rmtree(run.best)
    assert open_run(run.path).step == 12


def test_what_cannot_be_read_gives_way_to_the_next_and_is_told(tiny_config, run, caplog, our_messages):
    cut(run.best, 6)
    assert open_run(run.path).step == 12
    (told,) = our_messages()
    assert told.startswith("a checkpoint cannot be read, the next one is taken: ")
    assert str(run.best / "ckpt-6") in told
    caplog.clear()
    cut(run.last, 12)
    model = model_from_checkpoint(tiny_config, run.weights(tiny_config))
    wanted = build_model(tiny_config)
    wanted.quantizer.start()
    wanted.step.assign(6)
    for ours, theirs in zip(model.variables, wanted.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    assert len(our_messages()) == 2


def test_a_run_of_damaged_checkpoints_alone_is_told_with_the_remedy(run):
    cut(run.best, 6)
    cut(run.last, 6)
    cut(run.last, 12)
    with pytest.raises(UserError, match="cannot read the checkpoint") as told:
        open_run(run.path)
    for path in (run.best / "ckpt-6", run.last / "ckpt-12", run.last / "ckpt-6"):
        assert f"{path}: " in str(told.value)
    assert f"remove {run.path / 'checkpoints'} to start again" in str(told.value)
