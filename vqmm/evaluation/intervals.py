"""Describes what the 95 % intervals of an evaluation say, and what they leave out."""

from __future__ import annotations

NOTE = (
    "Intervals are 95 % bootstrap intervals over items, drawn anew as if they were independent. Recordings "
    "of one voice, pages of one writer and copies of one item are not: where few voices or writers are "
    "behind many items, the true intervals are wider."
)

# `intervals` of `evaluation.json`.
INTERVALS = {"level": 0.95, "method": "bootstrap", "unit": "item", "clusters": None, "note": NOTE}
