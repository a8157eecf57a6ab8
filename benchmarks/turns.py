"""Programs that are measured in turns, each alive in a process of its own.

A worker gets everything ready, then waits. `Worker.turn` lets it work for a while; so two
sides share whatever else the machine does. Only the standard library: peers import this too.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 600.0  # seconds that a worker may take to get ready, or for a turn


def peak_mebibytes() -> float:
    """The most memory that this process has held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(run: Callable[[int], Any], ready: Mapping[str, Any]) -> None:
    """A worker's side: says what it is, then works whenever it is told.

    Args:
        run: takes so many steps and returns when they are done; it has run before.
        ready: what the other side is told first, as JSON.
    """
    start = time.perf_counter()
    run(2)
    each = (time.perf_counter() - start) / 2
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        count = max(1, round(float(line) / each))
        start, busy = time.perf_counter(), time.process_time()
        run(count)
        each, busy = (time.perf_counter() - start) / count, (time.process_time() - busy) / count
        found = {
            "milliseconds": 1e3 * each,
            "cpu_milliseconds": 1e3 * busy,  # of all threads: less disturbed by other programs
            "steps": count,
            "peak_mebibytes": peak_mebibytes(),
        }
        print(json.dumps(found), flush=True)


class Worker:
    """A process that serves turns.

    Args:
        python: that runs it.
        module: its name, as `benchmarks.training_worker`.
        task: given to it as JSON on its command line; `threads` is also put into the environment.

    Attributes:
        ready: what it said when it was ready, empty where it failed.
        failed: why it cannot take turns, empty where it can.
        turns: what it said after each turn.
    """

    def __init__(self, python: str | Path, module: str, task: Mapping[str, Any]):
        threads = str(task["threads"])
        env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        env |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        # OpenMP's threads wait for each other in a loop; on cores that others use too, that has
        # made a step of PyTorch thirty times as slow.
        env["OMP_WAIT_POLICY"] = "PASSIVE"
        self.turns: list[dict[str, Any]] = []
        self.failed = ""
        self._process = subprocess.Popen(
            [str(python), "-m", module, json.dumps(task)],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._said = ""
        self._listener = threading.Thread(target=self._listen, daemon=True)  # else a full pipe blocks it
        self._listener.start()
        self.ready = self._hear()

    def turn(self, seconds: float) -> None:
        """Lets it work for about so long, and keeps what it says."""
        if self.failed or self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):  # `_hear` tells why it is gone
            print(seconds, file=self._process.stdin, flush=True)
        found = self._hear()
        if found:
            self.turns.append(found)

    def close(self) -> None:
        """Ends it."""
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        for line in self._process.stderr or ():
            self._said = line.strip() or self._said

    def _hear(self) -> dict[str, Any]:
        """The next line of JSON; other lines are passed over."""
        alarm = threading.Timer(LIMIT, self._process.kill)
        alarm.start()
        try:
            for line in self._process.stdout or ():
                if line.startswith("{"):
                    found: dict[str, Any] = json.loads(line)
                    return found
        finally:
            expired = not alarm.is_alive()
            alarm.cancel()
        code = self._process.wait()
        self._listener.join(5)
        self.failed = f"more than {LIMIT:.0f} s" if expired else f"stopped with {code}: {self._said[:160]}"
        return {}


def in_turns(workers: Sequence[Worker], rounds: int, seconds: float) -> None:
    """Every worker works `seconds` in each of the rounds; the order turns round each time."""
    for number in range(rounds):
        for worker in workers if number % 2 == 0 else tuple(reversed(workers)):
            worker.turn(seconds)
