"""Digits spoken by others than eSpeak: people in Debian packages, and the synthesiser flite."""

from __future__ import annotations

import io
import itertools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from vqmm.data.sources.debian import read_archive
from vqmm.data.sources.degrade import Recording
from vqmm.data.sources.voices import WORDS

FLITE_VOICES = {"kal": 100, "kal16": 100, "awb": 110, "rms": 90, "slt": 175}  # voice: usual pitch, Hz
PROMPT_PACKAGES = ("asterisk-core-sounds-en-wav", "saytime")

# Where packages keep English digits.
_STAMPS = re.compile(r"(?:^|/)stamps/symbols/math/(\d)(|_en_GB)\.ogg$")
_PROMPTS = re.compile(r"/(en_US[^/]*)/digits/(\d)\.wav$|/(saytime)/(\d)\.au$")


class SpokenDigit(NamedTuple):
    """One digit said by one speaker."""

    speaker: str
    digit: int
    recording: Recording


def stamps_digits(source: Path) -> list[SpokenDigit]:
    """Returns the English digits among Tux Paint's stamps: two people, ten digits each.

    Args:
        source: the stamps' ``.deb``, tar archive or folder.
    """
    found = []
    for path, data in _files(source):
        match = _STAMPS.search(path)
        if match:
            found.append(SpokenDigit(f"tuxpaint{match[2]}", int(match[1]), _read(data)))
    return sorted(found, key=lambda spoken: spoken[:2])


def prompt_digits(source: Path) -> list[SpokenDigit]:
    """Returns the digits of a telephone system's or a talking clock's voice prompts: one person, 8 kHz.

    Args:
        source: the ``.deb`` of one of `PROMPT_PACKAGES`, or its unpacked folder.
    """
    found = []
    for path, data in _files(source):
        match = _PROMPTS.search(path)
        if match:
            speaker, digit = filter(None, match.groups())
            found.append(SpokenDigit(speaker, int(digit), _read(data, bare=path.endswith(".au"))))
    return sorted(found, key=lambda spoken: spoken[:2])


def flite_digits() -> list[SpokenDigit]:
    """Returns the digits by every voice of the program ``flite``, at three speeds and two pitches.

    Empty where flite is not installed or has none of `FLITE_VOICES`.
    """
    program = shutil.which("flite")
    if program is None:
        return []
    listed = subprocess.run([program, "-lv"], capture_output=True, text=True, check=False).stdout.split()
    manners = itertools.product(FLITE_VOICES, (0.8, 1.0, 1.25), (0.88, 1.1), range(10))
    wanted = [manner for manner in manners if manner[0] in listed]

    def speak(manner: tuple[str, float, float, int]) -> SpokenDigit:
        voice, stretch, pitch, digit = manner
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            settings = (
                f"duration_stretch={stretch}",
                f"int_f0_target_mean={FLITE_VOICES[voice] * pitch:.0f}",
            )
            options = [part for setting in settings for part in ("--setf", setting)]
            subprocess.run(
                [program, "-voice", voice, *options, "-t", WORDS[digit], "-o", file.name],
                check=True,
                capture_output=True,
            )
            return SpokenDigit(f"flite-{voice}", digit, _read(Path(file.name).read_bytes()))

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(speak, wanted))


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for file in sorted(source.rglob("*")):
            path = file.as_posix()
            if _STAMPS.search(path) or _PROMPTS.search(path):
                yield path, file.read_bytes()
        return
    for member in read_archive(source):
        path = member.path.as_posix()
        if _STAMPS.search(path) or _PROMPTS.search(path):
            yield path, member.data.read()


def _read(data: bytes, bare: bool = False) -> Recording:
    # The talking clock's files have no header.
    kind = {"format": "RAW", "subtype": "ULAW", "samplerate": 8000, "channels": 1} if bare else {}
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True, **kind)
    return Recording(np.clip(samples.mean(axis=1), -1, 1), rate)
