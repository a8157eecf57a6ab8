"""Content hashes of many files; a file whose size and times have not changed is not read again."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import joblib

from vqmm.data.shards import file_sha256
from vqmm.errors import UserError
from vqmm.phase_progress import PhaseProgress

CHUNK = 32  # files that a thread takes at a time


class FileHash(NamedTuple):
    """The content of a file, and what the file system says of it.

    Attributes:
        size: in bytes.
        modified: time of the last change of the content, in ns.
        changed: time of the last change of content or attributes, in ns: unlike `modified`,
            no program sets it back.
        sha256: hex digits of the content.
    """

    size: int
    modified: int
    changed: int
    sha256: str


def hash_files(
    paths: Sequence[Path],
    known: Mapping[Path, FileHash | None] | None = None,
    workers: int | None = None,
    show: bool = False,
) -> dict[Path, FileHash | None]:
    """Hashes files on several threads.

    Args:
        paths: of the files.
        known: earlier results; a file with the same size and times keeps its hash.
        workers: threads; all cores by default.
        show: report progress.

    Returns:
        By path, in order; None for what is missing, no regular file, or cannot be read.

    Raises:
        UserError: a file changed while it was read.
    """
    known = known or {}
    paths = list(dict.fromkeys(paths))
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    found: dict[Path, FileHash | None] = {}

    def one(chunk: Sequence[Path]) -> list[FileHash | None]:
        return [_hash(path, known.get(path)) for path in chunk]

    pool = ThreadPoolExecutor(workers or joblib.cpu_count())
    try:
        with PhaseProgress("reading the files' content", "files", len(paths), show=show) as progress:
            for chunk, hashes in zip(chunks, pool.map(one, chunks), strict=True):
                found |= zip(chunk, hashes, strict=True)
                progress.advance(len(chunk))
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def is_unchanged(path: Path, known: FileHash) -> bool:
    """Returns whether a file still has the size and the time of its last change that it was hashed with."""
    try:
        now = path.stat()
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (known.size, known.modified)


def differing(old: Mapping[str, FileHash | None], new: Mapping[str, FileHash | None]) -> Iterator[str]:
    """Names of files whose content is another one now, new and missing files among them."""
    for name in itertools.chain(new, old.keys() - new.keys()):
        before, after = old.get(name), new.get(name)
        if (before and before.sha256) != (after and after.sha256):
            yield name


def _hash(path: Path, known: FileHash | None) -> FileHash | None:
    try:
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):
            return None
        times = before.st_size, before.st_mtime_ns, before.st_ctime_ns
        if known is not None and known[:3] == times:
            return known
        sha256 = file_sha256(path)
        after = path.stat()
    except (OSError, ValueError):
        return None
    if (after.st_size, after.st_mtime_ns, after.st_ctime_ns) != times:
        raise UserError(f"{path} changed while it was read; run the same command again when it is at rest")
    return FileHash(*times, sha256)
