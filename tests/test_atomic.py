"""Files are replaced whole, and a full disk is named with path and bytes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vqmm.atomic import appending, replacing, replacing_folder, write_atomic
from vqmm.errors import UserError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_atomic(target, "old")
    with pytest.raises(ZeroDivisionError), replacing(target) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with replacing(target) as one, one.open("w") as first:
        first.write("first")
        first.flush()
        with replacing(target) as other:
            assert one != other
            other.write_text("the second, longer")
        assert target.read_text() == "the second, longer"
        first.write(" and its end")
    assert target.read_text() == "first and its end"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_killed_writer_left_is_taken_over(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    code = (
        "import os, sys\nfrom vqmm.atomic import replacing\n"
        "with replacing(sys.argv[1]) as part:\n"
        "    part.write_text('killed ' * 9)\n    os.kill(os.getpid(), 9)\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(target)], cwd=Path(__file__).parents[1], check=False)
        assert len(list(tmp_path.iterdir())) == 1 and not target.exists()
    with replacing(target) as part:
        assert part.read_bytes() == b""
        part.write_text("new")
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_system_without_locks_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    write_atomic(tmp_path / "a.txt", "x")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["x"]


def test_a_folder_that_was_moved_aside_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    target = tmp_path / "out"

    def made(text: str) -> None:
        with replacing_folder(target, "mark") as part:
            (part / "mark").write_text(text)

    made("old")
    target.rename(tmp_path / ".out.old")  # killed between its two moves
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "mark").write_text("half")
    with pytest.raises(ZeroDivisionError), replacing_folder(target, "mark"):
        raise ZeroDivisionError
    assert (target / "mark").read_text() == "old"
    made("new")
    assert (target / "mark").read_text() == "new"
    (tmp_path / ".out.old").mkdir()  # killed after them
    (tmp_path / ".out.old" / "mark").write_text("old")
    made("newest")
    assert (target / "mark").read_text() == "newest"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, real = tmp_path / "out", Path.replace
    with replacing_folder(target, "mark") as part:
        (part / "mark").write_text("old")

    def replace(self: Path, to: Path) -> Path:
        if self.name.endswith(".part"):
            raise PermissionError
        return real(self, to)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(PermissionError), replacing_folder(target, "mark") as part:
        (part / "mark").write_text("new")
    assert (target / "mark").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


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
