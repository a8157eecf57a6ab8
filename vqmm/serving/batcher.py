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

    The thread takes what waits, up to `settings.batch` rows, or what has come
    `settings.wait_ms` after the first. A batch that fails is halved until the request
    that made it fail stands alone; only that one fails.

    Args:
        run: arrays by name, of equally many rows, to arrays of as many rows.
        settings: of the service.
        name: of the thread.
        seen: told the rows of each batch.
    """

    def __init__(
        self,
        run: Callable[[Arrays], Arrays],
        settings: Settings,
        name: str = "batcher",
        seen: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._run, self._settings, self._seen = run, settings, seen
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

    def _work(self) -> None:
        while (jobs := self._collect()) is not None:
            if jobs:
                self._seen(sum(job.rows for job in jobs))
                self._answer(jobs)

    def _collect(self) -> list[_Job] | None:
        with self._change:
            while not self._waiting:
                if self._closed:
                    return None
                self._change.wait()
            until = time.monotonic() + self._settings.wait_ms / 1000
            while self._rows < self._settings.batch and not self._closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._change.wait(left)
            jobs: list[_Job] = []
            rows = 0
            while self._waiting and (not jobs or rows + self._waiting[0].rows <= self._settings.batch):
                job = self._waiting.popleft()
                self._rows -= job.rows
                if job.future.set_running_or_notify_cancel():  # else nobody waits for it any more
                    jobs.append(job)
                    rows += job.rows
            return jobs

    def _answer(self, jobs: list[_Job]) -> None:
        try:
            names = jobs[0].inputs
            found = self._run({name: np.concatenate([job.inputs[name] for job in jobs]) for name in names})
        except Exception as error:  # belongs to the request, not to this thread, which must go on
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            half = len(jobs) // 2
            self._answer(jobs[:half])
            self._answer(jobs[half:])
            return
        start = 0
        for job in jobs:
            job.future.set_result({key: value[start : start + job.rows] for key, value in found.items()})
            start += job.rows
