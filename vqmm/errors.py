"""The exceptions that mean: the user can mend this."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """A mistake in the input, the config or the command line.

    The message names the value received, what is legal and how to mend it.
    The command line prints it on one line and exit with status 2; a library user
    catches it as any other exception.
    """


class UnreadableFile(UserError):
    """A file that cannot become a record.

    Attributes:
        path: the file.
        reason: what is wrong and how to mend it, without the path.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def nearest(word: str, legal: Iterable[str]) -> str:
    """Returns `` (did you mean 'x'?)`` for the legal word nearest to `word`, else ``""``."""
    close = difflib.get_close_matches(word, list(legal), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
