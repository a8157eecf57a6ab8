"""Turns the errors of decoders into one reason per file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from vqmm.errors import UnreadableFile, UserError
from vqmm.system_errors import is_exhausted


@contextlib.contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turns whatever a decoder throws at a damaged file into one clear reason."""
    if not path.is_file():
        raise UnreadableFile(path, "no such file")
    if path.stat().st_size == 0:
        raise UnreadableFile(path, "is empty (0 bytes)")
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        _raise_if_exhausted(path, error)
        said = " ".join(str(error).replace(str(path), "it").split()) or type(error).__name__
        raise UnreadableFile(path, f"cannot be read as {kind}: {said}") from None


def _raise_if_exhausted(path: Path, error: Exception) -> None:
    """Raises the system's error where no more files may be opened: the one at hand is not damaged."""
    if is_exhausted(error):
        raise error
    try:  # libsndfile reports no more than "System error"
        path.open("rb").close()
    except OSError as refused:
        if is_exhausted(refused):
            raise refused from None
