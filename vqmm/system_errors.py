"""Errors of the operating system: what they mean for whoever started the program."""

from __future__ import annotations

import errno
import os

FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Causes that lie with this process or machine: a file at hand may be sound.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE})
MENDS = {
    errno.EMFILE: "this process has too many files open: raise its limit (ulimit -n 4096), then run again",
    errno.ENFILE: "this machine has too many files open: end other programs, or raise fs.file-max",
    errno.ENOMEM: "free some memory, then run again",
    errno.EACCES: "see to the rights of the file and its folder, or choose another",
    errno.EPERM: "see to the rights of the file and its folder, or choose another",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOENT: "give the path of a file or folder that is there",
    errno.ENOTDIR: "a part of the path is no folder; give another",
    errno.EISDIR: "this is a folder; give a file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: "the disk, or the network before it, fails; see to it or choose another folder",
    errno.ESTALE: "another machine replaced the file; run again",
    **dict.fromkeys(FULL_DISK, "free some space or choose another folder, then run again"),
}


def errno_of(error: BaseException) -> int | None:
    """Returns the system's number of an error, None where it has none.

    TensorFlow, FAISS and others raise classes of their own that keep the system's text alone.
    """
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return number
    text = str(error)
    return next((known for known in MENDS if os.strerror(known) in text), None)


def mend_of(error: BaseException) -> str:
    """Returns how to mend what the system refused, as the end of a message."""
    return MENDS.get(errno_of(error) or 0, "see what the system says of it, then run again")


def is_exhausted(error: BaseException) -> bool:
    """Returns whether the process or the machine may open no more files, for which no file is to blame."""
    return errno_of(error) in EXHAUSTED
