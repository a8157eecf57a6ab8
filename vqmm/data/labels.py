"""Spellings of labels: which of them are one class, and which only look like one."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction

WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
# What programs write for an absent value, and what may be a class of that name.
ABSENT = frozenset({"nan", "na", "n/a", "<na>", "nat", "none", "null"})


def whole_number(text: str) -> str:
    """Returns a whole number that is written with a point and zeros, as "7.0", without them.

    Columns of numbers with gaps are written so by pandas. "07" and "7.5" stay as they are.
    """
    found = WHOLE.fullmatch(text)
    return str(int(found[1])) if found else text


def alike(labels: Iterable[str]) -> list[list[str]]:
    """Groups labels that are different classes and may be meant as one.

    Alike are spellings of one number ("7" and "07") and labels that differ in case, in spaces or in
    how Unicode composes their letters ("true" and "TRUE").

    Returns:
        The groups of two and more, each sorted.
    """
    groups: dict[Fraction | str, set[str]] = defaultdict(set)
    for label in labels:
        text = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
        groups[Fraction(text) if NUMBER.fullmatch(text) else text].add(label)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def is_absent_in_words(label: str) -> bool:
    """Returns whether a label is a word that programs write for an absent value, as "NaN" and "None"."""
    return label.casefold() in ABSENT
