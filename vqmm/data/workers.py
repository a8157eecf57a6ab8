"""Decodes many files on all cores, results in order."""

from __future__ import annotations

import io
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from vqmm.config import Data
from vqmm.data.read_audio import read_recording
from vqmm.data.read_image import load_image
from vqmm.data.stored_audio import encode_audio
from vqmm.data.used_part import UsedPart, used_part
from vqmm.errors import UnreadableFile, UserError

CHUNK = 8  # files a worker takes at a time
AHEAD = 6  # chunks per worker in flight: bounds the memory, hides the writing


class Encoded(NamedTuple):
    """A file as it goes into a record, or why it does not.

    Attributes:
        data: WAV, FLAC or PNG, b"" for an unreadable file.
        length: in samples; 0 for a picture.
        reason: None for a readable file.
        used: the part of a recording that the model is given; None for a picture.
        notes: what is to be reported of a readable file, sentences without their subject, the file.
    """

    data: bytes
    length: int
    reason: str | None = None
    used: UsedPart | None = None
    notes: tuple[str, ...] = ()


def encode_file(path: Path, modality: str, data: Data) -> Encoded:
    """Decodes a file to the spec and encodes it for a record: WAV or FLAC of 16 bits, mono, or PNG."""
    try:
        if modality == "audio":
            read = read_recording(path, data.audio)
            samples = np.clip(np.round(read.samples * 32768.0), -32768, 32767).astype(np.int16)
            used = used_part(samples, read.begin, read.total, data.audio)
            stored = encode_audio(samples, data.audio.sample_rate, data.audio.stored_as)
            return Encoded(stored, samples.size, used=used, notes=read.notes)
        picture = load_image(path, data.image)
        buffer = io.BytesIO()
        Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(buffer, "PNG")
        return Encoded(buffer.getvalue(), 0)
    except UnreadableFile as error:
        return Encoded(b"", 0, error.reason)
    except MemoryError:
        return Encoded(b"", 0, "does not fit into memory")


def encode_files(
    files: Iterable[tuple[Path, str]], data: Data, workers: int
) -> Generator[Encoded, None, None]:
    """Runs `encode_file` over files, in order, on `workers` processes.

    The workers import no TensorFlow and end with this process, also when it is
    killed. A script that calls this needs the ``if __name__ == "__main__":``
    guard, as always with multiprocessing. ``workers=1`` stays in this process.

    Args:
        files: (path, "audio" or "image").
        data: specs to decode to.
        workers: number of processes.

    Yields:
        One `Encoded` a file.

    Raises:
        UserError: a worker died; names the files that were in work.
    """
    if workers <= 1:
        for path, modality in files:
            yield encode_file(path, modality, data)
        return
    # spawn: a fork of a process with TensorFlow's threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (data,)) as pool:
        try:
            running: deque[tuple[Sequence[tuple[Path, str]], Future[list[Encoded]]]] = deque()
            for chunk in _chunks(files):
                running.append((chunk, pool.submit(_encode_chunk, chunk)))
                if len(running) >= AHEAD * workers:
                    yield from running.popleft()[1].result()
            while running:
                yield from running[0][1].result()
                running.popleft()
        except BrokenProcessPool:
            names = ", ".join(str(path) for chunk, _ in list(running)[:workers] for path, _ in chunk)
            raise UserError(
                f"a decoding process died, perhaps for want of memory, at one of: {names}; "
                "run the same command again with --workers 1, or remove the file"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _chunks(files: Iterable[tuple[Path, str]]) -> Iterator[tuple[tuple[Path, str], ...]]:
    source = iter(files)
    while chunk := tuple(itertools.islice(source, CHUNK)):
        yield chunk


_data: Data  # of a worker process, set when it starts


def _start_worker(data: Data) -> None:
    global _data
    _data = data
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends us
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _encode_chunk(chunk: Sequence[tuple[Path, str]]) -> list[Encoded]:
    return [encode_file(path, modality, _data) for path, modality in chunk]
