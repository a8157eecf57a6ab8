"""Remembers what could not be loaded, and when it is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import NamedTuple

LONGEST_WAIT_S = 600.0

Stamp = tuple[tuple[str, int, int], ...]


class FailedLoad(NamedTuple):
    """A folder that could not be loaded.

    Attributes:
        reason: why.
        stamp: of the folder at that time.
        tries: how often it failed.
        again_at: when to try again although nothing changed, by the clock.
    """

    reason: str
    stamp: Stamp
    tries: int
    again_at: float


class FailedLoads:
    """Remembers failures by name: each is tried again when its files change, or after a growing wait.

    Files may still be arriving, or a disk may have failed for a moment.

    Args:
        wait_s: seconds until the first further try; doubled by each failure, up to `LONGEST_WAIT_S`.
        clock: in seconds.
    """

    def __init__(self, wait_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._wait_s, self._clock = wait_s, clock
        self._found: dict[Hashable, FailedLoad] = {}

    def add(self, name: Hashable, folder: Path, reason: str, stamp: Stamp | None = None) -> float:
        """Notes a failure; returns the seconds until the next try.

        Args:
            name: of what failed.
            folder: that it lies in.
            reason: why.
            stamp: of the folder before it was loaded; None: as it is now.
        """
        tries = self._found[name].tries + 1 if name in self._found else 1
        wait = min(self._wait_s * 2.0 ** (tries - 1), LONGEST_WAIT_S)
        stamp = stamp_of(folder) if stamp is None else stamp
        self._found[name] = FailedLoad(reason, stamp, tries, self._clock() + wait)
        return wait

    def is_due(self, name: Hashable, folder: Path) -> bool:
        """Returns whether it is worth a try: it has not failed, or its files changed, or the wait is over."""
        failed = self._found.get(name)
        return failed is None or self._clock() >= failed.again_at or stamp_of(folder) != failed.stamp

    def forget(self, name: Hashable) -> None:
        """Takes it off the list, as after a success."""
        self._found.pop(name, None)

    @property
    def reasons(self) -> dict[Hashable, str]:
        """Why each failed."""
        return {name: failed.reason for name, failed in list(self._found.items())}


def stamp_of(folder: Path) -> Stamp:
    """Names, sizes and times of the files of a folder: what differs when something was copied into it."""
    found = []
    for path in folder.rglob("*"):
        try:
            state = path.stat()
        except OSError:  # it went away in between
            continue
        found.append((str(path.relative_to(folder)), state.st_size, state.st_mtime_ns))
    return tuple(sorted(found))
