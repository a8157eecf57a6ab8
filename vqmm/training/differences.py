"""What differs between two nested settings, key by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """One key whose value is not the same.

    Attributes:
        key: dotted, as in ``train.steps``.
        old, new: the two values; `MISSING` where one side lacks the key.
    """

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: {self.old!r} → {self.new!r}"


class _Missing:
    def __repr__(self) -> str:
        return "(not set)"


MISSING = _Missing()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Compares two nested mappings; lists and tuples of equal values are the same.

    Returns:
        The leaves that differ, in the order of `new`, then those that only `old` has.
    """
    before, after = dict(_leaves(old, "")), dict(_leaves(new, ""))
    keys = [*after, *(key for key in before if key not in after)]
    found = (Difference(key, before.get(key, MISSING), after.get(key, MISSING)) for key in keys)
    return [d for d in found if d.old != d.new]


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value
