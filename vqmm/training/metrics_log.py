"""`metrics.jsonl`: the figures of a run, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vqmm.atomic import write_atomic


class MetricsLog:
    """Appends figures; forgets what came after a checkpoint.

    Each line is ``{"step", "split": "train" | "validation", "seconds", ...figures}``;
    `seconds` is the time trained so far, over all processes of the run.

    Args:
        path: of the file; made where it does not exist.
    """

    def __init__(self, path: Path):
        self.path = path

    def write(self, step: int, split: str, seconds: float, figures: Mapping[str, float]) -> None:
        """Appends one line, and hands it to the operating system."""
        line = {"step": step, "split": split, "seconds": round(seconds, 3), **figures}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")

    def rewind(self, step: int) -> None:
        """Drops the lines after `step`, and a last line that was cut off."""
        kept = [line for line in read_metrics(self.path) if line["step"] <= step]
        write_atomic(self.path, "".join(json.dumps(line) + "\n" for line in kept))


class Window:
    """Figures of the steps since the last line of the log."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []
        self._seconds = 0.0

    def add(self, values: np.ndarray, seconds: float) -> None:
        """Takes in steps, f32[steps, figures], and how long they took together."""
        self._rows.append(values)
        self._seconds += seconds

    def take(self, names: list[str]) -> dict[str, float]:
        """Their means by name and `steps_per_second`; begins anew."""
        rows = np.concatenate(self._rows).astype("float64")
        figures = dict(zip(names, rows.mean(axis=0).tolist(), strict=True))
        figures["steps_per_second"] = round(len(rows) / self._seconds, 3)
        self._rows, self._seconds = [], 0.0
        return figures


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Lines of a metrics file, in order; none where there is no file.

    A last line that a killed process left unfinished is passed over.
    """
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines
