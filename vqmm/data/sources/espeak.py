"""Speech from eSpeak NG, by the `espeakng-loader` wheel: no system package, no network.

The library keeps one global state and its noise sources start from it, so a
`Speaker` is reproducible only as the first one of its process: `speech` runs it
in fresh processes.
"""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from vqmm.errors import UserError
from vqmm.extras import requires_extra

with requires_extra("digits", "speech by eSpeak NG"):
    import espeakng_loader

SAMPLE_RATE = 22_050  # Hz, of everything that eSpeak NG speaks

_SYNCHRONOUS = 2  # retrieval through the callback; speak returns when the clip is whole
_DO_NOT_EXIT = 0x8000
_LONGEST_PATH = 120  # eSpeak keeps its data path in 160 bytes and appends file names to it
_UTF8, _PHONEMES = 0x0001, 0x0100
_RATE, _PITCH, _RANGE = 1, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Delivery(NamedTuple):
    """How a voice speaks. `rate` in words a minute (80-450); the others 0-100, 50 is normal."""

    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50


NORMAL = Delivery()


def stock_variants() -> list[str]:
    """Returns the names of the voice variants that come with eSpeak NG, sorted."""
    return sorted(p.name for p in (_shipped_data() / "voices" / "!v").iterdir() if p.is_file())


class Speaker:
    """eSpeak NG with extra voice variants, as a context manager.

    Args:
        variants: name → text of a variant file (the format of eSpeak's
            ``voices/!v``), which `speak` then finds as ``"en+NAME"``. eSpeak
            lists 349 voices at most, its own included: a hundred fit.
        seed: of the noise in breath and flutter.
    """

    def __init__(self, variants: Mapping[str, str] | None = None, seed: int = 0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="espeak-")
        data = Path(self._folder.name) / "espeak-ng-data"
        if len(str(data).encode()) > _LONGEST_PATH:
            raise UserError(
                f"the temporary folder {data.parent} has too long a path for eSpeak NG "
                f"({_LONGEST_PATH} bytes at most); set TMPDIR to a shorter one, such as /tmp"
            )
        shutil.copytree(_shipped_data(), data)
        for name, text in (variants or {}).items():
            (data / "voices" / "!v" / name).write_text(text, encoding="ascii")
        self._chunks: list[np.ndarray] = []
        self._callback = _CALLBACK(self._receive)  # kept: eSpeak holds only the pointer
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(data.parent).encode(), _DO_NOT_EXIT)
        if rate != SAMPLE_RATE:
            raise RuntimeError(f"eSpeak NG did not start: it answered {rate} for its sample rate")
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))

    def speak(self, text: str, voice: str, delivery: Delivery = NORMAL, phonemes: bool = False) -> np.ndarray:
        """Speaks `text`.

        Args:
            text: words, or eSpeak phonemes in ``[[...]]`` where `phonemes` is set.
            voice: a language, or ``language+variant``, such as ``"en-us+f2"``.
            delivery: rate and pitch.
            phonemes: read ``[[...]]`` as phonemes.

        Returns:
            int16[samples] at `SAMPLE_RATE`; empty where eSpeak says nothing.

        Raises:
            ValueError: for a voice that eSpeak does not have.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        for parameter, value in zip((_RATE, _PITCH, _RANGE), delivery, strict=True):
            self._library.espeak_SetParameter(parameter, int(value), 0)
        self._chunks.clear()
        data = text.encode()
        flags = _UTF8 | (_PHONEMES if phonemes else 0)
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, flags, None, None)
        return np.concatenate([np.zeros(0, np.int16), *self._chunks])

    def _receive(self, samples: ctypes._Pointer, count: int, events: int) -> int:
        if count > 0 and samples:
            self._chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0

    def __enter__(self) -> Speaker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.espeak_Terminate()
        self._folder.cleanup()


def _shipped_data() -> Path:
    return Path(espeakng_loader.get_data_path())
