"""What the README shows, works."""

import re
from pathlib import Path

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


def test_every_verb_and_folder_named_exists():
    for verb in re.findall(r"python -m pipelines\.(\w+)", TEXT):
        assert verb == "VERB" or (ROOT / "pipelines" / f"{verb}.py").is_file(), verb
    for path in re.findall(r"(?:vqmm|configs|pipelines)/[\w./]*", TEXT):
        assert (ROOT / path).exists() or path.startswith("pipelines/      "), path
