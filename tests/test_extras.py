"""The table of packages agrees with pyproject.toml and with what the modules import."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from vqmm.commands.launch import VERBS
from vqmm.errors import UserError
from vqmm.extras import CORE, EXTRAS, is_installed, missing_extra, missing_packages, requires_extra

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOR_DEVELOPERS = {"all", "test", "bench"}
# Keras runs on it in place of TensorFlow; whoever chooses it has it.
BACKEND = {"jax"}
# Folders that only the verb of an extra imports, inside `requires_extra`.
BEHIND_A_VERB = {"app": ("vqmm/app/",), "serve": ("vqmm/serving/",)}
FILES = sorted((ROOT / "vqmm").rglob("*.py"))


def distributions(requirements):
    return {re.split(r"[\[<>=;~! ]", text)[0] for text in requirements}


def test_every_extra_of_the_project_is_in_the_table_with_its_packages():
    declared = {
        name: distributions(wanted)
        for name, wanted in PROJECT["optional-dependencies"].items()
        if name not in FOR_DEVELOPERS
    }
    assert declared == {name: set(extra.packages.values()) for name, extra in EXTRAS.items()}
    assert distributions(PROJECT["dependencies"]) == set(CORE.values())


def test_all_holds_every_extra_and_parts_belong_to_verbs():
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert set(everything.removeprefix("vqmm[").removesuffix("]").split(",")) == set(EXTRAS)
    assert {verb for extra in EXTRAS.values() for verb in extra.parts} <= set(VERBS)


def imports(tree):
    """Yields the full name of each imported module, and whether that is where the file is imported."""
    inner = {id(node) for part in tree.body if isinstance(part, ast.FunctionDef | ast.ClassDef | ast.With)
             for node in ast.walk(part)}  # fmt: skip
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module]
        yield from ((name, id(node) not in inner) for name in names)


def extras_of(module):
    parts = module.split(".")
    starts = {".".join(parts[: n + 1]) for n in range(len(parts))}
    return {name for name, extra in EXTRAS.items() if starts & set(extra.packages)}


def test_modules_import_what_is_declared_and_what_is_optional_by_the_one_rule():
    faults = [fault for path in FILES for fault in undeclared(path)]
    assert not faults, "\n".join(faults)


def undeclared(path):
    text, place = path.read_text(), path.relative_to(ROOT).as_posix()
    guarded = set(re.findall(r'(?:requires_extra|missing_extra)\(\s*"(\w+)"', text))
    behind = {name for name, folders in BEHIND_A_VERB.items() if place.startswith(folders)}
    for module, at_import in imports(ast.parse(text)):
        first = module.partition(".")[0]
        if first in sys.stdlib_module_names or first in {"vqmm", *CORE, *BACKEND}:
            continue
        extras = extras_of(module)
        if not extras:
            yield f"{place}: {module} is in no extra and not in the core: declare it"
        elif not extras & (behind if at_import else behind | guarded):
            yield f"{place}: {module}: import it inside requires_extra"


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_package_that_is_missing_or_broken_names_the_extra(extra, monkeypatch):
    module, package = next(iter(EXTRAS[extra].packages.items()))
    monkeypatch.setitem(sys.modules, module, None)
    assert not is_installed(module) and package in missing_packages(extra)
    with pytest.raises(UserError) as caught, requires_extra(extra, "this"):
        __import__(module)
    assert str(caught.value) == f"this needs {package}, which is not installed: pip install 'vqmm[{extra}]'"
    with pytest.raises(UserError, match="does not load .no library"), requires_extra(extra, "this"):
        raise OSError("no library called cairo")


def test_a_fault_of_our_own_is_not_hidden():
    with pytest.raises(ImportError, match="nothing"), requires_extra("svg", "this"):
        from vqmm.extras import nothing  # noqa: F401


def test_a_part_of_a_package_is_told_by_the_packages_name():
    error = ModuleNotFoundError("no", name="tensorflow_serving.apis")
    assert "needs tensorflow-serving-api, which" in missing_extra("export", "this", error)
