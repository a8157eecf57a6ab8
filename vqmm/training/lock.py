"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from vqmm.errors import UserError


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Holds the lock file `path` while the block runs.

    The kernel drops the lock when the process ends, however it ends, so a killed
    run never blocks the next one. The file itself stays.

    Raises:
        UserError: another process holds it; names its pid and when it started.
    """
    # "a+": a waiting process must not wipe what the holder wrote.
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{path.parent} is in use by {_holder(path)}; wait for it or stop it") from None
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        _rewrite(file.fileno(), json.dumps({"pid": os.getpid(), "started": started}) + "\n")
        try:
            yield
        finally:
            _rewrite(file.fileno(), "")


def _rewrite(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.write(descriptor, text.encode())


def _holder(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"process {found['pid']} (started {found['started']})"
    except (OSError, ValueError, KeyError):  # the holder has not written it yet
        return "another process"
