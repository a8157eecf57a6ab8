"""Asks a loop to stop when the process is told to."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """Training was stopped by a signal, after it had saved a checkpoint.

    Attributes:
        number: of the signal.
        step: that the checkpoint was saved at.
    """

    def __init__(self, number: int, step: int):
        super().__init__(f"stopped by {signal.Signals(number).name} at step {step}; a checkpoint is saved")
        self.number = number
        self.step = step


class StopRequest:
    """Whether a signal came in, and which.

    Attributes:
        number: of the signal; None while there was none.
    """

    number: int | None = None


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turns the first SIGINT or SIGTERM into a request; a second one acts as usual.

    Outside of the main thread, where Python allows no handlers, it does nothing.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}

    def take(number: int, frame: FrameType | None) -> None:
        request.number = number
        signal.signal(number, before[number])

    for number in SIGNALS:
        signal.signal(number, take)
    try:
        yield request
    finally:
        for number in SIGNALS:
            signal.signal(number, before[number])


@contextlib.contextmanager
def leaving_on_sigterm(verb: str) -> Iterator[None]:
    """Ends the process with status 0 on SIGTERM, where what is on disk can be gone on from at any moment.

    `stop_on_signals` goes before it where a step has to be finished first. Outside of the main
    thread it does nothing.

    Args:
        verb: named in what is said.

    Raises:
        SystemExit: SIGTERM came in.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        print(f"{verb}: stopped by SIGTERM; the same command continues", file=sys.stderr, flush=True)
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
