"""What a person sees while a run trains."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SHOWN = (  # in this order, where a run has them
    "loss",
    "reconstruction_audio",
    "reconstruction_image",
    "perceptual_image",
    "multiresolution_audio",
    "contrastive",
    "pair_agreement",
    "retrieval_map",
    "usage_shared",
    "nats_shared",
    "nats_image",
    "nats_audio",
    "kl_nats_audio",
    "kl_nats_image",
    "discriminator_accuracy_audio",
    "discriminator_accuracy_image",
    "adversarial_weight_audio",
    "adversarial_weight_image",
    "gradient_audio",
    "gradient_image",
)
SHORT = {"reconstruction": "rec", "discriminator_accuracy": "judged", "adversarial_weight": "push"}
QUIET = 30.0  # seconds between lines where there is no terminal


class TrainingProgress:
    """A bar on a terminal; elsewhere a line now and then.

    Args:
        steps: of the whole run.
        console: where to; the standard error stream by default.
        quiet: seconds between training lines where there is no terminal.
    """

    def __init__(self, steps: int, console: Console | None = None, quiet: float = QUIET):
        self.steps = steps
        self.console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self.quiet = quiet
        self._bar: Progress | None = None
        self._task: Any = None
        self._said = time.monotonic()

    @contextlib.contextmanager
    def running(self, step: int) -> Iterator[TrainingProgress]:
        """Shows the bar while the block runs, from `step` on."""
        if not self.console.is_terminal:
            yield self
            return
        columns = (
            BarColumn(20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            self._bar = bar
            self._task = bar.add_task(
                "", total=self.steps, completed=step, figures="the first step takes longest"
            )
            try:
                yield self
            finally:
                self._bar = None

    def say(self, text: str) -> None:
        """Prints a line."""
        self.console.print(text, markup=False)

    def trained(self, step: int, figures: Mapping[str, float]) -> None:
        """Shows figures of training steps up to `step`."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, figures=summary(figures))
        elif time.monotonic() - self._said >= self.quiet:
            self._said = time.monotonic()
            self.say(f"step {step}/{self.steps}  {summary(figures)}")

    def validated(self, step: int, figures: Mapping[str, float], best: bool) -> None:
        """Shows figures of a validation."""
        self._said = time.monotonic()
        self.say(f"step {step}/{self.steps}  validation{'*' if best else ' '} {summary(figures)}")


def summary(figures: Mapping[str, float]) -> str:
    """The figures that matter, on one line."""
    parts = [f"{_short(name)} {figures[name]:.3f}" for name in SHOWN if name in figures]
    if "steps_per_second" in figures:
        parts.insert(0, f"{figures['steps_per_second']:.1f} steps/s")
    return "  ".join(parts)


def _short(name: str) -> str:
    for long, short in SHORT.items():
        name = name.replace(long, short)
    return name


def silent(progress: TrainingProgress) -> TrainingProgress:
    """The same that shows nothing: the chief of several processes tells."""
    return TrainingProgress(progress.steps, Console(quiet=True))
