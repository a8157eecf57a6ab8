"""Reports how far a long phase has come: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

FIRST_AFTER = 10.0  # seconds until the first line: short phases stay silent
EVERY = 30.0  # seconds between lines
BAR_AFTER = 2.0  # seconds until a terminal shows the bar
LOOK_EVERY = 2.0  # seconds between two looks at work that others do


class PhaseProgress:
    """Progress of one phase whose units are counted, on the standard error stream.

    A terminal shows a bar, unless the phase is short. Elsewhere, as in a log, the first line comes
    after some seconds and further ones now and then, with what is done and what is left; a last
    one says that the phase has ended, if there was a line before it.

    Args:
        phase: what is being done, such as `"hashing files"`.
        unit: what is counted, in the plural.
        total: number of units; None where it is not known.
        show: False for silence.
        bar: False for none on a terminal, where another one is shown already.
        console: where to write; the standard error stream by default.
        clock: gives seconds; for tests.
        first_after: seconds until the first line.
        every: seconds between lines.
    """

    def __init__(
        self,
        phase: str,
        unit: str,
        total: int | None = None,
        *,
        show: bool = True,
        bar: bool = True,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        first_after: float = FIRST_AFTER,
        every: float = EVERY,
    ) -> None:
        self.phase, self.unit, self.total, self.show = phase, unit, total, show
        self.done = 0
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self._clock, self._every = clock, every
        self._began = clock()
        self._due = self._began + first_after
        self._spoke = False
        self._with_bar = bar
        self._bar: Progress | None = None
        self._task: Any = None
        self._lock = threading.Lock()

    def __enter__(self) -> PhaseProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._spoke and error is None:
            took = duration(self._clock() - self._began)
            self._print(f"{self.phase}: done, {self.done} {self.unit} in {took}")

    def advance(self, count: int = 1) -> None:
        """Counts units as done; any thread may call it."""
        with self._lock:
            self._reach(self.done + count)

    def reach(self, done: int) -> None:
        """Sets the number of units that are done; any thread may call it."""
        with self._lock:
            self._reach(done)

    def reach_fraction(self, fraction: float) -> None:
        """Sets what is done as a fraction of the total, 0..1."""
        self.reach(round(fraction * (self.total or 0)))

    @contextlib.contextmanager
    def following(self, count: Callable[[], int], every: float = LOOK_EVERY) -> Iterator[PhaseProgress]:
        """Shows work that others do: a thread asks `count` how much is done while the block runs."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(every):
                self.reach(count())

        thread = threading.Thread(target=look, daemon=True)
        with self:
            thread.start()
            try:
                yield self
                self.done = count()
            finally:
                ended.set()
                thread.join()

    def _reach(self, done: int) -> None:
        self.done = done
        now = self._clock()
        if self._console.is_terminal:
            self._draw(now)
        elif self.show and now >= self._due:
            self._due = now + self._every
            self._spoke = True
            self._print(self._line(now - self._began))

    def _draw(self, now: float) -> None:
        if self._bar is None and self.show and self._with_bar and now - self._began >= BAR_AFTER:
            columns = (TextColumn(self.phase), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task(self.unit, total=self.total)
            self._bar.start()
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done)

    def _line(self, seconds: float) -> str:
        if not self.total:
            return f"{self.phase}: {self.done} {self.unit} in {duration(seconds)}"
        said = f"{self.phase}: {self.done} of {self.total} {self.unit} in {duration(seconds)}"
        if not 0 < self.done < self.total:
            return said
        return f"{said}, about {duration(seconds / self.done * (self.total - self.done))} left"

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False)


def duration(seconds: float) -> str:
    """Seconds for people: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
