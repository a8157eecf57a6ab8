"""A stretch of a file behind other first bytes, as a file of its own."""

from __future__ import annotations

import io
from typing import BinaryIO


class SplicedFile(io.RawIOBase):
    """A read-only file that is made of `head` and then of ``file[start:stop]``.

    A decoder that believes a wrong header is given a right one this way, without a copy of the sound.

    Args:
        file: open for reading in binary; it is moved, not closed.
        head: bytes that come first.
        start: first byte of `file` that follows them.
        stop: the byte after the last.
    """

    def __init__(self, file: BinaryIO, head: bytes, start: int, stop: int) -> None:
        super().__init__()
        self._file, self._head, self._start = file, head, start
        self._size = len(head) + max(0, stop - start)
        self._place = 0

    def __repr__(self) -> str:
        """The name of the file: decoders put it into their messages."""
        return repr(str(self._file.name))

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to `offset` from the beginning, from here or from the end; returns the new place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """Returns the place."""
        return self._place

    def readinto(self, buffer: object) -> int:
        """Fills a buffer; returns the bytes read, fewer than it holds only at the end."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        view = view[: max(0, self._size - self._place)]
        done = 0
        while done < len(view):
            inside = self._place - len(self._head)
            if inside < 0:
                part = self._head[self._place : self._place + len(view) - done]
                view[done : done + len(part)] = part
                count = len(part)
            else:
                self._file.seek(self._start + inside)
                part = self._file.read(len(view) - done)
                view[done : done + len(part)] = part
                count = len(part)
                if count == 0:
                    break
            done += count
            self._place += count
        return done
