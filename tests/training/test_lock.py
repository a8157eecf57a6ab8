import subprocess
import sys

import pytest

from vqmm.errors import UserError
from vqmm.training.lock import hold

HOLDER = """
import sys, time
from pathlib import Path
from vqmm.training.lock import hold
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
