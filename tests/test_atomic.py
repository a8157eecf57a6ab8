"""Files are replaced whole, and a full disk is named with path and bytes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vqmm.atomic import appending, replacing, write_atomic
from vqmm.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_atomic(target, "old")
    with pytest.raises(ZeroDivisionError), replacing(target) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_a_user_error_with_path_and_bytes(tmp_path: Path, code: int) -> None:
    target = tmp_path / "a.bin"
    message = r"a\.bin: no more room after 3 bytes \(\d+ bytes are free"
    with pytest.raises(UserError, match=message), replacing(target) as part:
        part.write_bytes(b"abc")
        raise OSError(code, os.strerror(code), str(part))
    assert not list(tmp_path.iterdir())


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "missing" / "a.txt", "x")


def test_what_is_appended_goes_behind_the_bytes_that_count(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    with appending(target, 0) as file:
        file.write(b"abc")
    target.write_bytes(b"abc" + b"left by a killed writer")
    with appending(target, 3) as file:
        file.write(b"def")
    assert target.read_bytes() == b"abcdef"
    with pytest.raises(ZeroDivisionError), appending(target, 6) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert target.read_bytes() == b"abcdef"
    with pytest.raises(UserError, match="6 of 7 bytes"), appending(target, 7):
        pass
    with pytest.raises(UserError, match="no more room after 2 bytes"), appending(target, 6) as file:
        file.write(b"gh")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert target.read_bytes() == b"abcdef"
