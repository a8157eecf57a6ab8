"""Verbs start without the messages that TensorFlow's libraries write while they load."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vqmm.commands.import_messages import BANNER, startup_messages_hidden

ROOT = Path(__file__).parents[2]
INFO = "I0000 00:00:1796131456.690108   23949 port.cc:153] oneDNN custom operations are on.\n"
ERROR = "E0000 00:00:1796131456.690108   23949 cuda_dnn.cc:8579] Unable to register cuDNN factory\n"


@pytest.mark.parametrize("level, kept", [("3", []), ("1", [ERROR]), ("0", [BANNER + "\n", INFO, ERROR])])
def test_messages_are_hidden_as_the_level_says_and_all_else_is_kept(capfd, monkeypatch, level, kept):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with pytest.raises(ImportError), startup_messages_hidden():
        os.write(2, f"{BANNER}\n{INFO}{ERROR}libcuda.so: cannot open\nI0 am ours\n".encode())
        raise ImportError("no TensorFlow")
    assert capfd.readouterr().err == "".join([*kept, "libcuda.so: cannot open\n", "I0 am ours\n"])


def test_a_verb_that_loads_tensorflow_writes_nothing():
    code = (
        "import vqmm.commands.cli, importlib.resources, tensorflow as tf;"
        "print(int(tf.constant(1)), importlib.resources.files('tensorflow').is_dir())"
    )
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 True\n", "")


def test_no_folder_needs_to_be_writable(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with monkeypatch.context() as context:
        context.setattr("tempfile.tempdir", "/none")
        with startup_messages_hidden():
            os.write(2, f"{INFO}ours\n".encode())
    assert capfd.readouterr().err == "ours\n"
