"""Config files as plain trees: ``extends:`` and ``--set``, before any key is checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from vqmm.errors import UserError


def read_tree(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A config file's keys and values, unchecked, over those of the base that its ``extends:`` names.

    Raises:
        UserError: a missing file, bad YAML, or bases that go in a circle.
    """
    path = path.resolve()
    if path in seen:
        raise UserError(f"{path}: 'extends' goes in a circle: {' -> '.join(map(str, (*seen, path)))}")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the config {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    tree = {} if tree is None else tree
    if not isinstance(tree, dict):
        raise UserError(f"{path} holds a {type(tree).__name__}; a config is a mapping of keys to values")
    base = tree.pop("extends", None)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise UserError(f"{path}: extends={base!r}; it takes the path of one base file")
    return merge(read_tree(path.parent / base, (*seen, path)), tree)


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """One tree over another, section by section."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def override(tree: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The tree with ``"a.b=value"`` strings put in; each value is read as YAML.

    Raises:
        UserError: a string of another form.
    """
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {text!r}: write it as section.key=value, as in --set train.steps=100")
        try:
            leaf: Any = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"--set {text!r}: {value!r} is not a YAML value") from None
        for part in reversed(key.strip().split(".")):
            leaf = {part: leaf}
        tree = merge(tree, leaf)
    return tree
