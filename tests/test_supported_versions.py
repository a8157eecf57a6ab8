"""The files that name versions of Python and of packages agree on them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = ["3.11", "3.12", "3.13"]
PINS = {"oldest": ["3.11"], "newest": PYTHONS}
FILES = {"oldest": "requirements-oldest.txt", "newest": "requirements.txt"}


def pins_of(stack: str, python: str) -> dict[str, Version]:
    """The pinned versions of a stack by package, on Linux and this Python."""
    found = {}
    for line in (ROOT / FILES[stack]).read_text().splitlines():
        if not line or line.startswith((" ", "#")):
            continue
        pin = Requirement(line)
        place = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
        if pin.marker is None or pin.marker.evaluate(place):
            (exactly,) = pin.specifier
            assert exactly.operator == "==" and pin.name not in found, line
            found[pin.name] = Version(exactly.version)
    return found


def requirements() -> list[Requirement]:
    """Returns the requirements of the package and its extras, without those on its own extras."""
    project = PROJECT["project"]
    extras = [lines for name, lines in project["optional-dependencies"].items() if name != "bench"]
    return [
        Requirement(line)
        for lines in (project["dependencies"], *extras)
        for line in lines
        if "vqmm[" not in line
    ]


def jobs() -> dict[str, Any]:
    return yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]


def test_every_supported_python_is_named_where_pythons_are_named() -> None:
    allowed = SpecifierSet(PROJECT["project"]["requires-python"])
    assert [python for python in (f"3.{minor}" for minor in range(30)) if python in allowed] == PYTHONS
    prefix = "Programming Language :: Python :: 3."
    classifiers = [
        "3." + line.removeprefix(prefix) for line in PROJECT["project"]["classifiers"] if prefix in line
    ]
    assert classifiers == PYTHONS
    assert (ROOT / ".ci" / "python-versions").read_text().split() == PYTHONS[::-1]
    assert jobs()["newest"]["strategy"]["matrix"]["python"] == PYTHONS
    assert "Python 3.11, 3.12 or 3.13" in (ROOT / "README.md").read_text()


def test_the_oldest_python_is_what_code_is_written_for() -> None:
    assert PROJECT["tool"]["mypy"]["python_version"] == PYTHONS[0]
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{PYTHONS[0].replace('.', '')}"
    steps = jobs()["oldest"]["steps"]
    assert [
        step["with"]["python-version"] for step in steps if "setup-python" in step.get("uses", "")
    ] == PYTHONS[:1]


def test_the_image_has_the_newest_python() -> None:
    images = re.findall(r"(?m)^FROM python:([\d.]+)-slim$", (ROOT / "deploy" / "Dockerfile").read_text())
    assert images == PYTHONS[-1:]


@pytest.mark.parametrize(
    ("stack", "python"), [(stack, python) for stack, pythons in PINS.items() for python in pythons]
)
def test_pins_lie_in_the_ranges(stack: str, python: str) -> None:
    pins = pins_of(stack, python)
    for requirement in requirements():
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            assert requirement.specifier.contains(pins[requirement.name.lower()]), requirement


def test_the_two_stacks_are_the_ends_of_the_range_of_tensorflow() -> None:
    (tensorflow,) = (r.specifier for r in requirements() if r.name == "tensorflow")
    ends = {part.operator: part.version for part in tensorflow}
    oldest, newest = (pins_of(stack, "3.11")["tensorflow"] for stack in PINS)
    assert f"{oldest.major}.{oldest.minor}" == ends[">="]
    assert f"{newest.major}.{newest.minor + 1}" == ends["<"]


def test_pages_name_the_pinned_versions() -> None:
    readme = (ROOT / "README.md").read_text()
    for stack, python in (("newest", "3.13"), ("oldest", "3.11")):
        pins = pins_of(stack, python)
        for name, package in (("TensorFlow", "tensorflow"), ("NumPy", "numpy")):
            version = pins[package]
            assert f"{name} {version.major}.{version.minor}" in readme
    newest = pins_of("newest", "3.13")
    assert re.findall(r"tensorflow\[and-cuda\]==([\d.]+)", readme) == [str(newest["tensorflow"])]
    serving = newest["tensorflow-serving-api"]
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    assert compose["services"]["tensorflow-serving"]["image"] == f"tensorflow/serving:{serving}"
    kustomization = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "kustomization.yaml").read_text())
    tags = {image["name"]: str(image["newTag"]) for image in kustomization["images"]}
    assert tags["tensorflow/serving"] == str(serving)
