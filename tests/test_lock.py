import errno
import os
import subprocess
import sys

import pytest

from vqmm.errors import UserError
from vqmm.lock import hold

HOLDER = """
import sys, time
from pathlib import Path
from vqmm.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_living_process_keeps_others_out_and_a_killed_one_does_not(tmp_path):
    path = tmp_path / "lock"
    other = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"is in use by process {other.pid} \(started 20"), hold(path):
            pass
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    with hold(path):
        pass


def test_is_free_after_an_error_in_the_block(tmp_path):
    with pytest.raises(ZeroDivisionError), hold(tmp_path / "lock"):
        raise ZeroDivisionError
    with hold(tmp_path / "lock"):
        pass


def test_a_refused_process_leaves_the_note_of_the_holder(tmp_path):
    path = tmp_path / "lock"
    with hold(path):
        for _ in range(2):
            with pytest.raises(UserError, match=f"in use by process {os.getpid()} "), hold(path):
                pass


def test_a_lock_file_that_was_removed_by_its_holder_keeps_nobody_out(tmp_path):
    path = tmp_path / "lock"
    with hold(path):
        path.unlink()
        with hold(path):
            assert path.exists()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(UserError, match="without file locks .*; choose a folder"), hold(tmp_path / "lock"):
        pass
