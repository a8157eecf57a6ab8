"""No decoder shows stale memory: two readings of the same bytes over a differently filled heap are equal."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from picture_files import every_kind

from vqmm.config import ImageSpec
from vqmm.data.read_image import load_image
from vqmm.errors import UnreadableFile

PERTURB = -6  # M_PERTURB of mallopt: fills what is allocated and what is freed
FILES = every_kind()
MUTATIONS = 10  # of each file
SPEC = ImageSpec(height=24, width=32, channels=3, max_pixels=1_000_000)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")


@pytest.fixture
def filled() -> Iterator[Callable[[int], int]]:
    """Sets the byte that glibc fills the heap with."""
    mallopt = ctypes.CDLL(None).mallopt
    yield lambda byte: mallopt(PERTURB, byte)
    mallopt(PERTURB, 0)


def _mutated(data: bytes, rng: np.random.Generator, way: int) -> bytes:
    """Cuts a file, flips bytes anywhere, or patches its first 64 bytes."""
    if way % 3 == 0:
        return data[: rng.integers(8, len(data))]
    changed = bytearray(data)
    stop = len(data) if way % 3 == 1 else min(64, len(data))
    for place in rng.integers(4, stop, rng.integers(1, 5)):
        changed[place] = rng.integers(0, 256)
    return bytes(changed)


def _answer(path: Path) -> bytes | str:
    try:
        return load_image(path, SPEC).tobytes()
    except UnreadableFile as error:
        return error.reason


def test_the_fill_reaches_new_arrays(filled) -> None:
    found = []
    for byte in (0x11, 0xEE):
        filled(byte)
        found.append(np.empty(50_000, np.uint8).tobytes())
    assert found[0] != found[1]


@pytest.mark.parametrize("name", FILES)
def test_equal_bytes_give_equal_answers(filled, tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(list(name.encode()))
    files = [FILES[name], *(_mutated(FILES[name], rng, way) for way in range(MUTATIONS))]
    assert len(FILES) * MUTATIONS >= 200
    answers: list[list[bytes | str]] = []
    for byte in (0x11, 0xEE):
        filled(byte)
        answers.append([])
        for data in files:
            (tmp_path / "picture").write_bytes(data)
            answers[-1].append(_answer(tmp_path / "picture"))
    assert answers[0] == answers[1]
    assert isinstance(answers[0][0], bytes)


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_its_tail_is_refused(tmp_path: Path, name: str) -> None:
    first_frame_is_whole = name == "gif animation"
    data = FILES[name]
    for missing in (len(data) // 3, 40, 10) if not first_frame_is_whole else (len(data) * 2 // 3,):
        (tmp_path / "picture").write_bytes(data[:-missing])
        assert "cannot be read as a picture" in str(_answer(tmp_path / "picture"))
