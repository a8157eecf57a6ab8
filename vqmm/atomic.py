"""Files that are there whole or not at all, and a clear word when the disk is full."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vqmm.errors import UserError
from vqmm.system_errors import FULL_DISK


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a temporary name beside `path`; a block that ends well puts the file in its place.

    Whatever goes wrong in the block removes the temporary file and leaves
    `path` as it was. Two writers of one path get names of their own; the last to
    end stays. What a killed writer left is taken over by the next one.

    Args:
        path: where the file shall stand.

    Yields:
        The name to write to, of an empty file.

    Raises:
        UserError: the disk is full (or a quota or size limit is met): names
            `path`, the bytes written so far and the bytes free.
    """
    path = Path(path)
    part, held = _claimed_part(path)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # some file systems own up to a full disk only here
        part.replace(path)
    except BaseException as error:
        written = part.stat().st_size if part.exists() else 0
        part.unlink(missing_ok=True)
        _tell_if_full(error, path, written)
        raise
    finally:
        os.close(held)


@contextlib.contextmanager
def appending(path: str | Path, length: int) -> Iterator[BinaryIO]:
    """Opens a file to add to its first `length` bytes, which stay whatever happens.

    What stands behind them, left by a writer that was killed, goes first; a block that
    goes wrong leaves the first `length` bytes alone.

    Args:
        path: of the file; made where `length` is 0.
        length: bytes that count.

    Yields:
        The file, at its end.

    Raises:
        UserError: it is shorter than that, or the disk is full (as `replacing` tells it).
    """
    path = Path(path)
    with path.open("r+b" if length else "w+b") as file:
        if (found := file.seek(0, os.SEEK_END)) < length:
            raise UserError(f"{path} is damaged ({found} of {length} bytes)")
        file.truncate(length)
        file.seek(length)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException as error:
            written = file.tell() - length
            with contextlib.suppress(OSError):
                file.truncate(length)
            _tell_if_full(error, path, written)
            raise


def write_atomic(path: str | Path, data: bytes | str) -> None:
    """Writes a small file through `replacing`; text as UTF-8."""
    with replacing(path) as part:
        part.write_bytes(data.encode() if isinstance(data, str) else data)


def _claimed_part(path: Path) -> tuple[Path, int]:
    """An empty file beside `path` that no living process writes to, and what holds its lock."""
    number = 0
    while True:
        part = path.with_name(f".{path.stem}{f'.{number}' if number else ''}{path.suffix}.part")
        try:
            held = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            _tell_if_full(error, path, 0)
            raise
        if _locked(held) and _is_at(held, part):
            os.ftruncate(held, 0)
            return part, held
        os.close(held)
        number += 1


def _locked(descriptor: int) -> bool:
    """Whether this process has the lock; the kernel drops it when it ends, however it ends."""
    from filelock import lock_descriptor  # takes a while, and help texts write nothing

    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError:  # a file system without locks: there the name alone must do
        return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file still has its name: another writer may just have put it in its place."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _tell_if_full(error: BaseException, path: Path, written: int) -> None:
    if _is_full(error):
        free = shutil.disk_usage(path.parent).free
        raise UserError(
            f"cannot write {path}: no more room after {written} bytes ({free} bytes are free there, "
            f"{error}); free some space or choose another folder, then run the same command again"
        ) from None


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL_DISK
    # TensorFlow's writers turn errno into their own classes and keep its text.
    texts = [os.strerror(code) for code in FULL_DISK]
    return type(error).__module__.startswith("tensorflow.") and any(text in str(error) for text in texts)


@contextlib.contextmanager
def replacing_folder(path: str | Path, mark: str) -> Iterator[Path]:
    """Gives an empty folder beside `path`; a block that ends well puts it in the place of `path`.

    Whenever a process is killed, `path` is whole or beside it, from where the next call takes it back.

    Args:
        path: where the folder shall stand.
        mark: file that tells a folder of ours, which may be replaced; the block writes it.

    Raises:
        UserError: `path` is a file, or a folder that is neither empty nor ours.
    """
    path = Path(path)
    part, old = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")
    _settle(path, part, old)
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; give a folder")
    if path.is_dir() and any(path.iterdir()) and not (path / mark).exists():
        raise UserError(
            f"{path} is not empty and holds no {mark}; give a new folder, so that nothing is lost"
        )
    part.mkdir(parents=True)
    try:
        yield part
        if path.exists():
            path.replace(old)
        part.replace(path)
    finally:
        _settle(path, part, old)


def _settle(path: Path, part: Path, old: Path) -> None:
    """Puts back what was moved aside and not replaced, and removes the rest."""
    if old.exists() and not path.exists():
        old.replace(path)
    for left in (part, old):
        shutil.rmtree(left, ignore_errors=True)
