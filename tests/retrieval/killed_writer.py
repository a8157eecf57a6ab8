"""Forks a writer of an index, kills it with SIGKILL, and looks at what is left; again and again.

The writer is killed at its first, second, … step that touches the folder (a file is opened,
made durable, renamed or removed) until it gets to the end, and then at random moments.
Prints how many steps there were, and how often the old index and the new one were found.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

from vqmm.retrieval import FaissIndex

SLOTS, DIM, CODES = 2, 4, 9
OLD, NEW = 3000, 3000
TABLE = np.random.default_rng(0).normal(size=(CODES, DIM)).astype("float32")


def codes_of(numbers):
    return np.stack([numbers % CODES, numbers // CODES % CODES], axis=1)


def add(index, numbers):
    index.add(
        codes_of(numbers),
        [str(i) for i in numbers],
        "audio",
        metadata={"label": [str(i % 7) for i in numbers]},
        vectors=TABLE[codes_of(numbers)],
    )


def prepare(folder):
    """An index of two additions, some of it removed, with lists."""
    index = FaissIndex(TABLE, SLOTS, "f" * 16, vectors=True)
    add(index, np.arange(OLD))
    index.set_lists(8)
    index.save(folder)
    index = FaissIndex.open(folder)
    add(index, np.arange(OLD, OLD + 100))
    index.remove([str(i) for i in range(OLD, OLD + 50)])
    index.save(folder)


def write(folder, work):
    index = FaissIndex.open(folder)
    if work == "add":
        add(index, np.arange(OLD + 100, OLD + 100 + NEW))
    elif work == "remove":
        index.remove([str(i) for i in range(0, 100, 2)])
    else:
        index.compact()
    index.save(folder)


def check(folder, work):
    """Whether the folder holds the new index; stops where it holds a mixture or none."""
    index = FaissIndex.open(folder, "f" * 16)
    numbers = np.r_[np.arange(OLD), np.arange(OLD + 50, OLD + 100)]
    dropped = index.codes().shape[0] == len(numbers)
    if work == "add" and index.count() > len(numbers):
        numbers = np.r_[numbers, np.arange(OLD + 100, OLD + 100 + NEW)]
    elif work == "remove" and index.count() < len(numbers):
        numbers = numbers[(numbers >= 100) | (numbers % 2 == 1)]
    assert index.count() == len(numbers), index.count()
    hits = index.search(TABLE[[[1, 2]]], len(numbers), rerank=len(numbers))
    found = np.array([int(item.id) for item in hits.items[0]])
    assert np.array_equal(np.sort(found), numbers)
    assert np.array_equal(index.codes()[hits.positions[0]], codes_of(found))
    assert all(item.metadata["label"] == str(int(item.id) % 7) for item in hits.items[0])
    scores = (TABLE[[1, 2]] * TABLE[codes_of(found)]).sum(axis=(1, 2))
    assert np.allclose(hits.scores[0], scores, atol=0.01)
    near = index.search(TABLE[[[1, 2]]], 5)
    assert np.allclose(near.scores, -np.sort(-scores)[:5], atol=0.02)
    return dropped if work == "compact" else len(numbers) != OLD + 50


def die_at(step, folder):
    """Kills this process when it touches the folder for the step-th time from now."""
    left, real = [step], os.fsync

    def touch():
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, args):
        changes = event in ("os.rename", "os.remove", "os.truncate")
        if changes or (event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
            touch()

    def fsync(descriptor):
        touch()
        real(descriptor)
        touch()

    sys.addaudithook(hook)
    os.fsync = fsync


def killed(folder, work, step=None, after=None):
    """Runs the writer; whether it was killed before its end."""
    child = os.fork()
    if not child:
        try:
            if step:
                die_at(step, folder)
            write(folder, work)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status != 0


def main(work, scratch):
    base, folder = scratch / "base", scratch / "index"
    prepare(base)
    assert not check(base, work)
    counts, step, at_end = [0, 0], 0, False
    began = time.perf_counter()
    while not at_end:
        step += 1
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(base, folder)
        at_end = not killed(folder, work, step)
        counts[check(folder, work)] += 1
        if not check(folder, work):  # what a killed writer left is in nobody's way, and goes
            write(folder, work)
            pointer = json.loads((folder / "index.json").read_text())
            legal = {entry["name"] for parts in pointer["files"].values() for entry in parts}
            legal |= pointer["superseded"].keys() | {"index.json", "lock"}
            assert {path.name for path in folder.iterdir()} == legal
            assert check(folder, work)
    spent = (time.perf_counter() - began) / step
    dice = random.Random(0)
    for _ in range(8):
        shutil.rmtree(folder)
        shutil.copytree(base, folder)
        killed(folder, work, after=dice.uniform(0, spent))
        counts[check(folder, work)] += 1
    print(step, *counts)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
