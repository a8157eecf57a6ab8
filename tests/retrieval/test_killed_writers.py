"""Processes that write an index are killed, at every step and at any time."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed_writer.py")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("work", ["add", "remove", "compact"])
def test_a_killed_writer_leaves_the_old_index_or_the_new_one(work, tmp_path):
    memory = Path("/dev/shm")  # a kill leaves what the kernel has, whatever the disk: no need to wait for one
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), work, folder],
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    steps, old, new = map(int, done.stdout.split())
    # Both outcomes were seen, and every step before the end was a kill.
    assert steps >= 8 and old >= 5 and new >= 1
