import os
import subprocess
import sys

import pytest

from vqmm.config import load_config, save_config
from vqmm.errors import UserError
from vqmm.training.run_folder import CHANGEABLE, RunFolder, check_run, create_run, open_run

DATA = {"name": "d", "checksum": "abc"}


def begun(path, config, data=DATA):
    """A run that has come to a checkpoint."""
    with create_run(path, config, data) as run:
        run.last.mkdir(parents=True, exist_ok=True)
        (run.last / "ckpt-1.index").touch()
    return path


def changed(config, **train):
    return config.model_copy(update={"train": config.train.model_copy(update=train)})


def test_makes_the_folder_with_config_and_data(tmp_path, tiny_config):
    with create_run(tmp_path / "runs" / "a", tiny_config, DATA) as run:
        assert load_config(run.config) == tiny_config
        assert '"checksum": "abc"' in run.data.read_text()
        with (
            pytest.raises(UserError, match=f"in use by process {os.getpid()}"),
            create_run(run.path, tiny_config, DATA),
        ):
            pass


def test_takes_up_the_same_run_and_one_with_more_steps(tmp_path, tiny_config):
    begun(tmp_path, tiny_config)
    more = changed(tiny_config, steps=20, validate_every=5)
    for config in (tiny_config, more, more):
        with create_run(tmp_path, config, DATA) as run:
            assert load_config(run.config) == config


def test_refuses_another_config_key_by_key(tmp_path, tiny_config):
    begun(tmp_path, tiny_config)
    other = changed(tiny_config, learning_rate=0.5, steps=8, tensorboard=True)
    with pytest.raises(UserError) as told, create_run(tmp_path, other, DATA):
        pass
    said = str(told.value)
    assert "train.learning_rate: 0.002 → 0.5" in said
    assert "train.steps: 12 → 8" in said
    assert "train.tensorboard:" not in said
    assert all(key in said for key in CHANGEABLE)
    assert load_config(RunFolder(tmp_path).config) == tiny_config


def test_a_run_without_a_checkpoint_begins_anew(tmp_path, tiny_config):
    with create_run(tmp_path, tiny_config, DATA):
        pass
    other = changed(tiny_config, learning_rate=0.5)
    check_run(tmp_path, other, {"checksum": "xyz"})
    with create_run(tmp_path, other, {"checksum": "xyz"}) as run:
        assert load_config(run.config) == other and "xyz" in run.data.read_text()


def test_check_run_tells_the_same_and_changes_nothing(tmp_path, tiny_config):
    check_run(tmp_path / "new", tiny_config, DATA)
    assert not (tmp_path / "new").exists()
    begun(tmp_path, tiny_config)
    check_run(tmp_path, changed(tiny_config, steps=99), DATA)
    with pytest.raises(UserError, match="train.clip_norm: 1.0 → 2.0"):
        check_run(tmp_path, changed(tiny_config, clip_norm=2.0), DATA)
    assert load_config(RunFolder(tmp_path).config) == tiny_config


def test_refuses_other_data(tmp_path, tiny_config):
    begun(tmp_path, tiny_config)
    with (
        pytest.raises(UserError, match="other data: checksum: 'abc' → 'xyz'"),
        create_run(tmp_path, tiny_config, {**DATA, "checksum": "xyz"}),
    ):
        pass


def test_refuses_a_folder_with_other_things_and_a_file(tmp_path, tiny_config):
    (tmp_path / "thesis.tex").write_text("x")
    for path, said in ((tmp_path, "thesis.tex"), (tmp_path / "thesis.tex", "is a file")):
        with pytest.raises(UserError, match=said), create_run(path, tiny_config, DATA):
            pass
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_open_run_says_what_is_missing(tmp_path, tiny_config):
    with pytest.raises(UserError, match="there is no run folder"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no run"):
        open_run(tmp_path)
    save_config(tiny_config, tmp_path / "config.yaml")
    with pytest.raises(UserError, match="neither model.keras nor a checkpoint yet"):
        open_run(tmp_path)
    (tmp_path / "model.keras").write_bytes(b"no zip file")
    with pytest.raises(UserError, match="cannot read the model"):
        open_run(tmp_path)


def test_a_wrong_path_is_told_without_loading_tensorflow():
    code = (
        "import sys\n"
        "from vqmm.training.run_folder import open_run\n"
        "try: open_run('/no/such/run')\n"
        "except Exception as error: print(type(error).__name__, 'tensorflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "UserError False\n"
