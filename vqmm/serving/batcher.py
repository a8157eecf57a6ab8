"""Rows of many requests, run together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.serving.refused import Refused
from vqmm.serving.settings import Settings

Arrays = Mapping[str, npt.NDArray[Any]]


class _Job(NamedTuple):
    inputs: Arrays
    rows: int
    future: Future[dict[str, npt.NDArray[Any]]]


class Batcher:
    """A queue and the one thread that empties it.

    The thread takes what waits, up to `most` rows, or what has come `settings.wait_ms` after the
    first. A request of more rows is run in several calls. A batch that fails is halved until the
    request that made it fail stands alone; only that one fails.

    A future can be cancelled until its result is there. What TensorFlow runs cannot be stopped, so
    that a cancelled request costs one call at most: its other calls are not begun.

    Args:
        run: arrays by name, of equally many rows, to arrays of as many rows.
        settings: of the service.
        name: of the thread.
        seen: receives the rows of each call.
        most: rows of one call; None: `settings.batch`.
    """

    def __init__(
        self,
        run: Callable[[Arrays], Arrays],
        settings: Settings,
        name: str = "batcher",
        seen: Callable[[int], None] = lambda rows: None,
        most: int | None = None,
    ) -> None:
        self._run, self._settings, self._seen = run, settings, seen
        self.most = most or settings.batch
        self._waiting: deque[_Job] = deque()
        self._rows = 0
        self._closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Rows in the queue."""
        return self._rows

    def submit(self, inputs: Arrays) -> Future[dict[str, npt.NDArray[Any]]]:
        """Queues a request; what `run` raises for it is raised by the future.

        Args:
            inputs: arrays by name, of equally many rows, at least one.

        Raises:
            Refused: 429, the queue is full; 503, the batcher is closed.
        """
        job = _Job(inputs, len(next(iter(inputs.values()))), Future())
        with self._change:
            if self._closed:
                raise Refused(503, "the service is stopping", retry_after=1)
            if self._rows + job.rows > self._settings.queue:
                self._drop_cancelled()
            # One large request may come into an empty queue, else it never could.
            if self._waiting and self._rows + job.rows > self._settings.queue:
                raise Refused(429, f"{self._rows} rows are waiting; try again", retry_after=1)
            self._waiting.append(job)
            self._rows += job.rows
            self._change.notify()
        return job.future

    def close(self) -> None:
        """Answers what is queued and ends the thread."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join()

    def _drop_cancelled(self) -> None:
        self._waiting = deque(job for job in self._waiting if not job.future.cancelled())
        self._rows = sum(job.rows for job in self._waiting)

    def _work(self) -> None:
        while (jobs := self._collect()) is not None:
            if jobs:
                self._answer(jobs)

    def _collect(self) -> list[_Job] | None:
        with self._change:
            while not self._waiting:
                if self._closed:
                    return None
                self._change.wait()
            until = time.monotonic() + self._settings.wait_ms / 1000
            while self._rows < self.most and not self._closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._change.wait(left)
            self._drop_cancelled()  # nobody waits for them any more
            jobs: list[_Job] = []
            rows = 0
            while self._waiting and (not jobs or rows + self._waiting[0].rows <= self.most):
                job = self._waiting.popleft()
                self._rows -= job.rows
                jobs.append(job)
                rows += job.rows
            return jobs

    def _answer(self, jobs: list[_Job]) -> None:
        try:
            names = jobs[0].inputs
            found = self._call(jobs, {n: np.concatenate([job.inputs[n] for job in jobs]) for n in names})
        except Exception as error:  # belongs to the request, not to this thread, which must go on
            if len(jobs) == 1:
                if jobs[0].future.set_running_or_notify_cancel():
                    jobs[0].future.set_exception(error)
                return
            half = len(jobs) // 2
            self._answer(jobs[:half])
            self._answer(jobs[half:])
            return
        start = 0
        for job in jobs:
            if found is not None and job.future.set_running_or_notify_cancel():
                rows = {key: value[start : start + job.rows] for key, value in found.items()}
                job.future.set_result(rows)
            start += job.rows

    def _call(self, jobs: list[_Job], inputs: Arrays) -> Arrays | None:
        """Runs the rows, at most `most` at once; None as soon as nobody waits for them any more."""
        parts: list[Arrays] = []
        total = sum(job.rows for job in jobs)
        for start in range(0, total, self.most):
            if all(job.future.cancelled() for job in jobs):
                return None
            self._seen(min(self.most, total - start))
            parts.append(self._run({name: rows[start : start + self.most] for name, rows in inputs.items()}))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
