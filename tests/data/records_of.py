"""Records made in memory, for tests."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import soundfile
from PIL import Image

from vqmm.config import Config
from vqmm.data.records import Records, Split


def recordings_of(
    items: Sequence[int],
    labels: Sequence[int] | None = None,
    sounds: Sequence[np.ndarray] | None = None,
) -> Records:
    """Records of FLAC at 8 kHz; `sounds` i16[n], a short hum each if not given."""
    sounds = [np.full(100, 1_000 + row, np.int16) for row in range(len(items))] if sounds is None else sounds
    return _records("a", items, labels, [_flac(s) for s in sounds], [len(s) for s in sounds])


def pictures_of(
    items: Sequence[int],
    labels: Sequence[int] | None = None,
    pixels: Sequence[np.ndarray] | None = None,
) -> Records:
    """Records of PNG; `pixels` u8[h, w], an 8 x 8 grey each if not given."""
    pixels = [np.full((8, 8), 10 + row, np.uint8) for row in range(len(items))] if pixels is None else pixels
    return _records("p", items, labels, [_png(p) for p in pixels], [0] * len(items))


class FakeDataset(NamedTuple):
    """Stands for `vqmm.data.records.Dataset`."""

    held: Split

    def check(self, config: Config) -> None:
        """Any config will do."""

    def split(self, name: str) -> Split:
        return self.held


def _records(
    prefix: str, items: Sequence[int], labels: Sequence[int] | None, data: list[bytes], lengths: list[int]
) -> Records:
    names = np.empty(len(items), object)
    names[:] = [f"{prefix}{row}" for row in range(len(items))]
    return Records(
        ids=names,
        items=np.array(items, np.int64),
        labels=np.array([-1] * len(items) if labels is None else labels, np.int64),
        captions=np.full(len(items), "", object),
        lengths=np.array(lengths, np.int64),
        data=data,
        extra=[{} for _ in items],
    )


def _flac(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 8_000, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
