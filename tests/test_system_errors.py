"""Refusals of the operating system are reported as what they are, not as a full disk or a damaged file."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

from vqmm.commands import cli
from vqmm.config import AudioSpec, ImageSpec
from vqmm.data.read_audio import load_audio
from vqmm.data.read_image import load_image
from vqmm.data.records import Dataset
from vqmm.data.table import read_table
from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex, faiss_index
from vqmm.system_errors import errno_of, is_exhausted, mend_of
from vqmm.tokens import load_tokens
from vqmm.training.checkpoints import first_readable


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """A process that may open no more files."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = max(int(path.name) for path in Path("/dev/fd").iterdir()) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    held: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    ("code", "mend"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "this machine has too many files open"),
        (errno.EACCES, "see to the rights"),
        (errno.EROFS, "read-only"),
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.ECHILD, "see what the system says"),
    ],
)
def test_each_error_has_its_own_mend(
    code: int, mend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OSError(code, os.strerror(code), "/some/file")

    def main(_: object) -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["verb"])
    with pytest.raises(SystemExit) as caught:
        cli.run("verb", "", "", lambda _: None, main)
    (line,) = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2 and mend in line and os.strerror(code) in line and "/some/file" in line
    assert ("free some space" in line) == (code in (errno.ENOSPC, errno.EDQUOT))


def test_errors_of_libraries_are_known_by_the_text_of_the_system() -> None:
    error = tf.errors.ResourceExhaustedError(None, None, f"a.data; {os.strerror(errno.EMFILE)}")
    assert errno_of(error) == errno.EMFILE and is_exhausted(error) and "ulimit -n" in mend_of(error)
    assert errno_of(ValueError("bad data")) is None and not is_exhausted(ValueError("bad data"))


def test_a_sound_file_is_not_damaged_because_no_more_may_be_opened(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(np.arange(4000)), 8000)
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "a.png")
    (tmp_path / "m.csv").write_text("audio\na.wav\n")
    audio, image = AudioSpec(sample_rate=8000), ImageSpec(height=16, width=16, channels=1)
    wanted = load_audio(tmp_path / "a.wav", audio), load_image(tmp_path / "a.png", image)
    caught = []
    with no_more_files():
        for read in (
            lambda: load_audio(tmp_path / "a.wav", audio),
            lambda: load_image(tmp_path / "a.png", image),
            lambda: read_table(tmp_path / "m.csv"),
        ):
            with pytest.raises(OSError) as error:
                read()
            caught.append(error.value.errno)
    assert caught == [errno.EMFILE] * 3
    again = load_audio(tmp_path / "a.wav", audio), load_image(tmp_path / "a.png", image)
    assert all(np.array_equal(one, other) for one, other in zip(wanted, again, strict=True))


def test_data_and_tokens_are_not_to_be_made_again(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{}")
    (tmp_path / "a.npz").write_bytes(b"x")
    messages = []
    with no_more_files():
        for read in (lambda: Dataset.open(tmp_path), lambda: load_tokens(tmp_path / "a.npz")):
            with pytest.raises(UserError) as error:
                read()
            messages.append(str(error.value))
    assert all("ulimit -n" in text and "again with" not in text for text in messages)
    assert not any("prepare the data" in text for text in messages)


def test_an_index_and_a_checkpoint_are_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = FaissIndex(np.eye(4, dtype=np.float32), 2, "f" * 16)
    index.add([[0, 1], [2, 3]], ["a", "b"], "audio")
    index.save(tmp_path)
    text = f"could not open lists.faiss: {os.strerror(errno.EMFILE)}"

    def refuse(*_: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(faiss_index.FaissIndex, "_from_stored", refuse)
    with pytest.raises(UserError, match="cannot be read .*ulimit -n"):
        FaissIndex.open(tmp_path)
    with pytest.raises(UserError, match="cannot read new: .*ulimit -n"):
        first_readable(["new", "old"], refuse)
