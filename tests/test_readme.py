"""What the README and the guides show, works."""

import re
from pathlib import Path

import pytest

from vqmm.commands.launch import VERBS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


def test_the_python_snippet_runs_and_its_shapes_are_true(monkeypatch):
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict = {}
    exec(code, names)
    for name, shared, private in (("heard", (1, 8), (1, 104)), ("seen", (1, 8), (1, 64))):
        assert tuple(names[name].shared.shape) == shared
        assert tuple(names[name].private.shape) == private
    assert tuple(names["picture"].shape) == (1, 32, 32, 1)


@pytest.mark.parametrize("guide", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.stem)
def test_snippets_of_a_guide_run(guide, monkeypatch):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    names: dict = {}
    for code in blocks:
        exec(code, names)
    assert blocks
    if guide.stem == "models":
        assert tuple(names["picture"].shape) == (1, 32, 32, 1) and tuple(names["drawn"].shape) == (
            4,
            51,
            32,
            1,
        )
    if guide.stem == "metrics":
        low, high = names["distance"].ci95
        assert 2.0 < names["distance"].value < 2.5 and low < names["distance"].value < high
        assert names["decibels"].shape == (4,) and names["decibels"].min() > 20.0
    if guide.stem == "export":
        assert names["codes"]["shared"].shape == (1, 8) and names["codes"]["private"].shape == (1, 104)
        assert names["picture"].shape == (1, 32, 32, 1)


def test_a_guides_codes_and_values_have_the_shapes_told():
    names: dict = {}
    exec(
        re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "quantizers.md").read_text(), re.DOTALL)[0], names
    )
    assert tuple(names["codes"].shape) == (2, 8) and tuple(names["values"].shape) == (2, 8, 64)
    assert names["mixed"].range_of("shared") == (0, 1000)


def test_every_verb_and_folder_named_exists():
    verbs = re.findall(r"(?m)(?:^|`)vqmm (\w+)", TEXT)
    assert set(verbs) <= {"VERB", *VERBS} and len(set(verbs)) > 5, verbs
    assert all((ROOT / "pipelines" / f"{verb}.py").is_file() for verb in VERBS)
    for path in re.findall(r"(?:vqmm|configs|pipelines)/[\w./-]*", TEXT):
        assert (ROOT / path).exists() or path.startswith("pipelines/      "), path
