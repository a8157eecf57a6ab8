"""Reads a recording from a file into an array."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from vqmm.config import AudioSpec
from vqmm.data.reading import reading
from vqmm.data.trim import trim_silence
from vqmm.errors import UnreadableFile

AUDIO_FORMATS = "WAV, FLAC, MP3, OGG"
RATES = (1_000, 768_000)  # Hz; a header outside is damaged
SILENT = 1e-4  # peak, -80 dB of full scale
SHORTEST_SECONDS = 0.01
UNKNOWN_LENGTH = 0x7FFF_0000  # a WAV that was piped states this many bytes or more
BLOCK_FRAMES = 65_536


def load_audio(path: str | Path, spec: AudioSpec) -> npt.NDArray[np.float32]:
    """Reads a recording.

    Channels are averaged, a constant offset is removed, the rate becomes
    ``spec.sample_rate``, and quiet is cut from both ends as ``spec.trim_db``
    says (`vqmm.data.trim.trim_silence`). The level stays, except that a peak
    above full scale is brought down to it.

    Args:
        path: WAV, FLAC, MP3 or OGG, any rate, any number of channels.
        spec: what the array must be like. `samples` plays no part here.

    Returns:
        f32[n], -1..1, at ``spec.sample_rate``.

    Raises:
        UnreadableFile: (a UserError) no such file, not audio, truncated, no
            samples, longer than ``spec.max_seconds``, NaN or infinite samples,
            silent (peak below -80 dB of full scale).
    """
    path = Path(path)
    mono, rate = _read_mono(path, spec.max_seconds)
    mono = mono - mono.mean(dtype=np.float64).astype(np.float32)
    if np.abs(mono).max() < SILENT:
        raise UnreadableFile(path, "is silent (peak below -80 dB of full scale); remove it or record it anew")
    audio = soxr.resample(mono, rate, spec.sample_rate).astype(np.float32, copy=False)
    if audio.size < SHORTEST_SECONDS * spec.sample_rate:
        raise UnreadableFile(path, f"lasts {mono.size / rate:.4f} s; {SHORTEST_SECONDS} s is the least")
    audio = trim_silence(audio, spec.sample_rate, float(spec.trim_db))
    return audio / max(1.0, float(np.abs(audio).max()))


def _read_mono(path: Path, max_seconds: float) -> tuple[npt.NDArray[np.float32], int]:
    with reading(path, f"audio ({AUDIO_FORMATS})"), soundfile.SoundFile(path) as file:
        rate = int(file.samplerate)
        if not RATES[0] <= rate <= RATES[1]:
            raise UnreadableFile(path, f"states a rate of {rate} Hz; {RATES[0]} to {RATES[1]} Hz can be read")
        if file.frames > max_seconds * rate:
            raise UnreadableFile(
                path,
                f"lasts {file.frames / rate:.1f} s; data.audio.max_seconds={max_seconds:g} is the most",
            )
        _refuse_truncated(path, file.extra_info)
        # Mixing block by block: many channels at a high rate need no more memory than one.
        blocks = [block.mean(axis=1) for block in file.blocks(BLOCK_FRAMES, dtype="float32", always_2d=True)]
        stated = file.frames
    mono = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if mono.size == 0:
        raise UnreadableFile(path, "holds no samples (0 seconds)")
    if mono.size < stated:
        raise UnreadableFile(path, f"is truncated: {mono.size} of {stated} samples are there")
    if not np.isfinite(mono).all():
        raise UnreadableFile(path, "holds NaN or infinite samples; export it again")
    return mono, rate


def _refuse_truncated(path: Path, log: str) -> None:
    """libsndfile reads what there is of a cut WAV or AIFF and only notes it in its log."""
    note = re.search(r"^\s*(?:data|SSND)\s*: (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    if note is None:
        return
    stated, there = int(note[1]), int(note[2])
    if there < stated < UNKNOWN_LENGTH:
        raise UnreadableFile(path, f"is truncated: {there} of {stated} bytes of sound are there")
