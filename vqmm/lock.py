"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from vqmm.errors import UserError

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def hold(path: Path, refusal: str | None = None) -> Iterator[None]:
    """Holds the lock file `path` while the block runs.

    The kernel drops the lock when the process ends, however it ends, so a killed
    run never blocks the next one. The file itself stays.

    Args:
        path: the lock file; made where it is not there.
        refusal: the message where another process holds it; None names its pid and when it started.

    Raises:
        UserError: another process holds it, or the file system has no locks.
    """
    from filelock import FileLock, Timeout  # takes a while, and help texts need no lock

    lock = FileLock(path, blocking=False, fallback_to_soft=False, on_acquired=_sign)
    try:
        lock.acquire()
    except Timeout:
        said = refusal or f"{path.parent} is in use by {_holder(path)}; wait for it or stop it"
        raise UserError(said) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise UserError(
            f"{path.parent} is on a file system without file locks ({error.strerror}); choose a folder on a "
            "local disk, or mount that file system with locks"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _sign(descriptor: int) -> None:
    """Writes who holds the lock into its file."""
    note = {"pid": os.getpid(), "started": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.ftruncate(descriptor, 0)
    os.write(descriptor, json.dumps(note).encode() + b"\n")


def _holder(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"process {found['pid']} (started {found['started']})"
    except (OSError, ValueError, KeyError):  # the holder has not written it yet
        return "another process"
