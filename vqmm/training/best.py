"""Which validation was the best, and whether to go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vqmm.errors import UserError, nearest

HIGHER_IS_BETTER = ("retrieval_map", "pair_agreement", "usage")  # other figures are losses


class BestSoFar:
    """Follows one validation figure.

    Equal is as good as better: the later of two equal models has trained longer.
    For early stopping it must be better.

    Args:
        monitor: name of the figure.
        patience: validations without improvement before `exhausted`; 0 = never.
        from_step: earlier validations do not count (codes mean nothing before the
            codebook has been placed).
    """

    def __init__(self, monitor: str, patience: int = 0, from_step: int = 0):
        self.monitor = monitor
        self.patience = patience
        self.from_step = from_step
        self.value: float | None = None
        self.step: int | None = None
        self._waited = 0
        self._sign = 1.0 if monitor.startswith(HIGHER_IS_BETTER) else -1.0

    @property
    def exhausted(self) -> bool:
        """Whether `patience` validations brought no improvement."""
        return bool(self.patience) and self._waited >= self.patience

    def check(self, figures: Iterable[str]) -> None:
        """Raises a UserError where `monitor` is none of these names."""
        names = tuple(figures)
        if self.monitor not in names:
            raise UserError(
                f"train.monitor={self.monitor!r} is no validation figure of this run"
                f"{nearest(self.monitor, names)}; set it to one of {', '.join(names)}"
            )

    def see(self, step: int, figures: Mapping[str, Any]) -> bool:
        """Takes in a validation. Returns whether it is the best so far.

        Raises:
            UserError: the figures lack `monitor`.
        """
        self.check(figures)
        if step < self.from_step:
            return False
        value = float(figures[self.monitor])
        gain = None if self.value is None else self._sign * (value - self.value)
        better = gain is None or gain > 0
        self._waited = 0 if better else self._waited + 1
        if better or gain == 0:
            self.value, self.step = value, step
            return True
        return False

    def replay(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Takes in the validation lines of a metrics file."""
        for line in lines:
            if line["split"] == "validation":
                self.see(
                    line["step"], {k: v for k, v in line.items() if k not in ("step", "split", "seconds")}
                )
