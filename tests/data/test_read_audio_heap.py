"""A decoder gives the same samples whatever memory held before: all of them come from the file."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from sound_files import FORMATS, damage, encode, speech

from vqmm.config import AudioSpec
from vqmm.data.read_audio import load_audio
from vqmm.errors import UnreadableFile

SPEC = AudioSpec(sample_rate=16_000, max_seconds=5.0)
MUTATIONS = 30  # of each of seven formats
CASES = Path(__file__).parent.parent / "cases"


def fill_heap(value: float) -> None:
    """Leaves freed blocks full of `value` in the sizes that a reader asks for."""
    sizes = [2**power for power in range(8, 17)] + [9_600, 17_280, 16_000]
    held = [np.full(size, value, np.float32) for size in sizes for _ in range(3)]
    del held


def read(path: Path, value: float, patch: pytest.MonkeyPatch) -> np.ndarray | str:
    """The samples or the reason, with `value` wherever memory is not initialised."""
    empty = np.empty

    def filled(shape, dtype=float, *args, **kwargs):  # type: ignore[no-untyped-def]
        made = empty(shape, dtype, *args, **kwargs)
        if made.dtype.kind == "f":
            made.fill(value)
        return made

    fill_heap(value)
    with patch.context() as inside:
        inside.setattr(np, "empty", filled)  # soundfile's buffers come from it
        try:
            return load_audio(path, SPEC)
        except UnreadableFile as error:
            return error.reason


def same_twice(path: Path, patch: pytest.MonkeyPatch) -> np.ndarray | str:
    """Reads a file twice, with other memory, and checks that both give the same."""
    first, second = (read(path, value, patch) for value in (1e3, -7.0))
    assert type(first) is type(second)
    if isinstance(first, str):
        assert first == second
    else:
        np.testing.assert_array_equal(first, second)
    return first


@pytest.mark.parametrize("kind", FORMATS)
def test_mutations_are_read_alike_from_memory_of_any_content(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, path = encode(speech(), kind), tmp_path / "a.bin"
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    path.write_bytes(whole)
    assert isinstance(same_twice(path, monkeypatch), np.ndarray)
    refused = 0
    for _ in range(MUTATIONS):
        path.write_bytes(damage(whole, rng))
        refused += isinstance(same_twice(path, monkeypatch), str)
    assert refused > 0


@pytest.mark.parametrize("path", sorted(CASES.glob("*.mp3")), ids=lambda path: path.stem)
def test_cases_are_read_alike_from_memory_of_any_content(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same_twice(path, monkeypatch)


def test_no_cut_of_an_mp3_is_longer_than_what_it_holds(tmp_path: Path) -> None:
    """163 of 180 such files were accepted at their full length."""
    whole, path = encode(speech(1.0), "mp3"), tmp_path / "a.mp3"
    for cut in np.linspace(len(whole) // 50, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:cut])
        with pytest.raises(UnreadableFile, match=r"truncated|no samples|no sound"):
            load_audio(path, SPEC)
