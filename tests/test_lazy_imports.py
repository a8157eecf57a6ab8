"""Heavy libraries are loaded when they are used, not by `import vqmm`, help texts and wrong command lines."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vqmm
from vqmm.commands.launch import VERBS

ROOT = Path(__file__).parents[1]
HEAVY = (
    "tensorflow",
    "keras",
    "librosa",
    "matplotlib",
    "sklearn",
    "scipy",
    "pandas",
    "pyarrow",
    "faiss",
    "jax",
)
LAZY_PACKAGES = ("vqmm", "vqmm.evaluation", "vqmm.losses", "vqmm.report", "vqmm.retrieval")
# One command line a verb whose files are not there.
MISSING = {
    "prepare": ("--manifest", "none.csv", "--config", "none.yaml", "--out", "out"),
    "train": ("--config", "none.yaml", "--data", "none", "--run", "out"),
    "evaluate": ("--run", "none", "--data", "none", "--split", "test"),
    "index": ("--run", "none", "--data", "none", "--out", "out"),
    "query": ("--run", "none", "--index", "none", "--audio", "none.wav"),
    "tokenize": ("--run", "none", "--data", "none", "--out", "out"),
    "reconstruct": ("--run", "none", "--audio", "none.wav", "--out", "out"),
    "generate": ("--run", "none", "--out", "out"),
    "compare": ("none.yaml", "--data", "none", "--out", "out"),
    "export": ("--run", "none", "--out", "out"),
    "serve": ("--export", "none"),
    "app": ("--run", "none"),
    "completion": ("none",),
}
# Runs verbs and prints, as JSON, the exit status of each and the heavy libraries that are then loaded.
RUN_VERBS = """
import contextlib, io, json, sys
from vqmm.commands.launch import launch
statuses, loaded = {}, {}
for verb, words in json.loads(sys.argv[1]):
    key = f"{verb} {words[0]}"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            launch(verb, words)
        except SystemExit as stop:
            statuses[key] = stop.code
    loaded[key] = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
print(json.dumps([statuses, loaded]))
"""


def run_python(folder: Path, code: str, *args: str, **environment: str) -> str:
    """Runs code in a process of its own and returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_vqmm_loads_few_modules_and_no_heavy_one(tmp_path):
    code = (
        "import sys; before = set(sys.modules); import vqmm; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & set(sys.argv[1:])), "
        "len(set(sys.modules) - before))"
    )
    assert int(run_python(tmp_path, code, *HEAVY)) < 60


def test_help_and_wrong_command_lines_load_no_heavy_module(tmp_path):
    lines = [(verb, words) for verb in VERBS for words in (("--help",), ("--no-such-option",))]
    lines += [(verb, MISSING[verb]) for verb in VERBS if verb != "doctor"]  # which reads nothing
    statuses, loaded = json.loads(run_python(tmp_path, RUN_VERBS, json.dumps(lines), json.dumps(HEAVY)))
    assert {key: names for key, names in loaded.items() if names} == {}
    assert statuses == {f"{verb} {words[0]}": 0 if words == ("--help",) else 2 for verb, words in lines}
    assert not list(tmp_path.iterdir())


def test_layers_load_neither_librosa_nor_more_than_keras_does(tmp_path):
    code = (
        "import sys; import keras; before = set(sys.modules); "
        "import vqmm; vqmm.VectorQuantizer; vqmm.LogMel; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before} & set(sys.argv[1:])))"
    )
    assert run_python(tmp_path, code, *HEAVY, KERAS_BACKEND="jax").split() == []


@pytest.mark.parametrize("package", LAZY_PACKAGES)
def test_every_listed_name_is_there_and_others_are_not(package):
    module = importlib.import_module(package)
    assert module.__all__ and dir(module) == module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


def test_a_function_is_not_hidden_by_the_module_of_its_name():
    importlib.import_module("vqmm.evaluation.evaluate")
    from vqmm.evaluation import evaluate

    assert callable(evaluate)


def test_the_version_is_that_of_the_package():
    assert isinstance(vqmm.__version__, str) and vqmm.__version__
