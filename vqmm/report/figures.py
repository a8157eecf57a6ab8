"""Figures as the pages print them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def number(figure: Any, digits: int = 3, scale: float = 1.0) -> str:
    """The value of a figure of `evaluation.json`, or a plain number."""
    value = figure["value"] if isinstance(figure, Mapping) else figure
    return f"{value * scale:,.{digits}f}"


def interval(figure: Any, digits: int = 3, scale: float = 1.0) -> str:
    """The 95 % interval of a figure, or that it is of too few items; "" where nothing was sampled."""
    if not isinstance(figure, Mapping):
        return ""
    if figure.get("ci95") is None:
        return f"no interval, n = {figure['n']}" if figure.get("note") else ""
    low, high = (f"{end * scale:,.{digits}f}" for end in figure["ci95"])
    return f"{low} to {high}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, the larger two."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{seconds:.1f} s"
