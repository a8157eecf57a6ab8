"""Reads a recording from a file into an array."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from vqmm.config import AudioSpec
from vqmm.data.mixing import ChannelMixer
from vqmm.data.reading import reading
from vqmm.data.riff import UNKNOWN_LENGTH
from vqmm.data.sound_parts import SoundPart, sound_parts
from vqmm.data.spliced_file import SplicedFile
from vqmm.data.trim import sound_slice
from vqmm.errors import UnreadableFile

AUDIO_FORMATS = "WAV, FLAC, MP3, OGG"
RATES = (1_000, 768_000)  # Hz; a header outside is damaged
SILENT = 1e-4  # peak, -80 dB of full scale
SHORTEST_SECONDS = 0.01
BLOCK_SAMPLES = 65_536  # of all channels together: many channels need no more memory than one
ENDLESS = 1 << 40  # samples; a file that states more states none

NO_FILE = 7  # of libsndfile's errors

Mono = npt.NDArray[np.float32]


class Recording(NamedTuple):
    """A recording as it was read.

    Attributes:
        samples: f32[n], -1..1, at the rate of the spec.
        begin: sample of the whole recording, at that rate, at which they begin: quiet is left out.
        total: samples of the whole recording at that rate.
        notes: sentences without a subject (that is the file) on what a person should know: headers that
            state another length, channels that cancel.
    """

    samples: Mono
    begin: int
    total: int
    notes: tuple[str, ...]


class _Decoded(NamedTuple):
    mono: Mono
    rate: int
    notes: tuple[str, ...]


class _PartRead(NamedTuple):
    mono: Mono
    rate: int
    stated: int | None
    mixer: ChannelMixer
    source: str | SplicedFile


class _StoppedError(Exception):
    """The decoder gave up."""


class _ForwardFile(soundfile.SoundFile):
    """A sound file that is read from beginning to end: nothing is cut to the length that is stated."""

    def seekable(self) -> bool:
        return False


def load_audio(path: str | Path, spec: AudioSpec) -> Mono:
    """Reads a recording; `read_recording` without its notes."""
    return read_recording(path, spec).samples


def read_recording(path: str | Path, spec: AudioSpec) -> Recording:
    """Reads a recording.

    All sound that decodes is read, whatever length a header states; of joined files all of them.
    Channels are averaged, or the loudest is taken where they cancel (`vqmm.data.mixing`), a constant
    offset is removed, the rate becomes ``spec.sample_rate``, and quiet is cut from both ends as
    ``spec.trim_db`` says (`vqmm.data.trim.trim_silence`). The level stays, except that a peak above
    full scale is brought down to it.

    Args:
        path: WAV, FLAC, MP3 or OGG, any rate, any number of channels.
        spec: what the array must be like. `samples` plays no part here.

    Returns:
        The samples, and notes on what was odd.

    Raises:
        UnreadableFile: (a UserError) no such file, not audio, shorter than its header states, no
            samples, longer than ``spec.max_seconds``, NaN or infinite samples,
            silent (peak below -80 dB of full scale).
    """
    path = Path(path)
    with reading(path, f"audio ({AUDIO_FORMATS})"), path.open("rb") as file:
        mono, rate, notes = _read_parts(path, sound_parts(path, file), spec.max_seconds)
    if mono.size == 0:
        raise UnreadableFile(path, "holds no samples (0 seconds)")
    if not np.isfinite(mono).all():
        raise UnreadableFile(path, "holds NaN or infinite samples; export it again")
    mono = mono - mono.mean(dtype=np.float64).astype(np.float32)
    if np.abs(mono).max() < SILENT:
        raise UnreadableFile(path, "is silent (peak below -80 dB of full scale); remove it or record it anew")
    audio = soxr.resample(mono, rate, spec.sample_rate).astype(np.float32, copy=False)
    if audio.size < SHORTEST_SECONDS * spec.sample_rate:
        raise UnreadableFile(path, f"lasts {mono.size / rate:.4f} s; {SHORTEST_SECONDS} s is the least")
    sound = sound_slice(audio, spec.sample_rate, float(spec.trim_db))
    kept = audio[sound]
    return Recording(kept / max(1.0, float(np.abs(kept).max())), sound.start, audio.size, notes)


def _read_parts(path: Path, parts: list[SoundPart], max_seconds: float) -> _Decoded:
    found: list[_Decoded] = []
    seconds = 0.0
    for part in parts:
        read = _read_part(path, part, max_seconds, seconds)
        if found and read.rate != found[0].rate:
            raise UnreadableFile(
                path, f"joins recordings of {found[0].rate} and {read.rate} Hz; keep each in its own file"
            )
        seconds += read.mono.size / read.rate
        found.append(read)
    if len(found) == 1:
        return found[0]
    joined = f"joins {len(found)} recordings, {seconds:.3f} s in all; all of them are used"
    notes = dict.fromkeys(note for read in found for note in read.notes)
    return _Decoded(np.concatenate([read.mono for read in found]), found[0].rate, (joined, *notes))


def _read_part(path: Path, part: SoundPart, max_seconds: float, before: float) -> _Decoded:
    notes = part.notes
    try:
        read = _decode(path, part.source, max_seconds, before, part)
    except _StoppedError as stopped:
        if part.original is None or part.stated is None:
            raise UnreadableFile(path, f"is truncated or damaged: its sound breaks off ({stopped})") from None
        # Something else may follow the sound, as a tag: does all decode that the header states?
        try:
            read = _decode(path, part.original, max_seconds, before, part, part.stated)
        except _StoppedError:
            raise UnreadableFile(
                path, f"is truncated or damaged: fewer than its {part.stated} samples decode ({stopped})"
            ) from None
        notes = (*notes, "has something after its sound that cannot be decoded and is not used")
    mono, rate, stated = read.mono, read.rate, read.stated
    agrees = stated is None or mono.size == stated
    if part.frame:
        frames = round((mono.size + part.delay) / part.frame)
        agrees = part.stated is None or frames == part.stated
        if frames == part.stated or part.complete:  # else it is not known whether there is any padding
            mono = mono[: max(0, frames * part.frame - part.delay - part.padding)]
    if not agrees and stated is not None:
        if mono.size < stated and not part.complete:
            raise UnreadableFile(path, f"is truncated: {mono.size} of {stated} samples are there")
        length = f"{mono.size / rate:.3f} s"
        notes = (*notes, f"states {stated / rate:.3f} s and holds {length}; what it holds is used")
    if read.mixer.cancels():
        loudest, channels = read.mixer.loudest, read.mixer.channels
        with _opened(read.source) as file:
            chosen = [block[:, loudest].copy() for block in _blocks(file, mono.size)]
        mono = np.concatenate(chosen)
        notes = (
            *notes,
            f"has {channels} channels that cancel each other (their sum keeps {read.mixer.kept:.1%} of their "
            f"energy); channel {loudest + 1}, the loudest, is used alone",
        )
    return _Decoded(mono, rate, notes)


def _opened(source: str | SplicedFile) -> _ForwardFile:
    if not isinstance(source, str):
        source.seek(0)
    try:
        return _ForwardFile(source)
    except soundfile.LibsndfileError as error:
        if error.code == NO_FILE:  # the file is there, so this explains nothing
            raise ValueError("no sound is found in it") from None
        raise


def _decode(
    path: Path,
    source: str | SplicedFile,
    max_seconds: float,
    before: float,
    part: SoundPart,
    limit: int = ENDLESS,
) -> _PartRead:
    blocks: list[Mono] = []
    with _opened(source) as file:
        rate = int(file.samplerate)
        if not RATES[0] <= rate <= RATES[1]:
            raise UnreadableFile(path, f"states a rate of {rate} Hz; {RATES[0]} to {RATES[1]} Hz can be read")
        _refuse_truncated(path, file.extra_info)
        stated = part.stated
        if stated == -1:
            stated = file.frames if file.frames < ENDLESS else None
        elif part.frame and stated is not None:
            stated = max(0, stated * part.frame - part.delay - part.padding)
        mixer, count = ChannelMixer(file.channels), 0
        most = (max_seconds - before) * rate
        if part.frame:
            most += part.padding + part.frame
        try:
            for block in _blocks(file, limit):
                blocks.append(mixer.mean(block))
                count += len(block)
                if count > most:
                    break
        except soundfile.LibsndfileError as error:
            raise _StoppedError(error.error_string.removeprefix("Error : ").rstrip(".")) from None
    if count > most:
        length = max(count, stated or 0) / rate + before
        more = "" if stated is not None and stated > most else "more than "
        raise UnreadableFile(
            path, f"lasts {more}{length:.1f} s; data.audio.max_seconds={max_seconds:g} is the most"
        )
    mono = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    return _PartRead(mono, rate, stated, mixer, source)


def _blocks(file: _ForwardFile, most: int = ENDLESS) -> Iterator[Mono]:
    """Blocks f32[n, channels] to the end, or of `most` samples; each is overwritten by the next."""
    size = max(1, BLOCK_SAMPLES // file.channels)
    # Zeros, not uninitialised memory: what a decoder does not write must not depend on this process.
    buffer = np.zeros((size, file.channels), np.float32)
    while most > 0 and len(block := file.read(min(size, most), out=buffer)):
        most -= len(block)
        yield block


def _refuse_truncated(path: Path, log: str) -> None:
    """libsndfile reads what there is of a cut AIFF and only notes it in its log."""
    note = re.search(r"^\s*(?:data|SSND)\s*: (\d+) \(should be (\d+)\)", log, re.MULTILINE)
    if note is None:
        return
    stated, there = int(note[1]), int(note[2])
    if there < stated < UNKNOWN_LENGTH:
        raise UnreadableFile(path, f"is truncated: {there} of {stated} bytes of sound are there")
