"""The sound files of tests/cases through every door that takes sound, against values found by other means."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from vqmm.config import AudioSpec, Config, Data
from vqmm.data.file_records import read_files
from vqmm.data.readers import audio_reader
from vqmm.errors import UnreadableFile
from vqmm.export.wav_input import wav_reader
from vqmm.serving.media import MediaReader
from vqmm.serving.refused import Refused
from vqmm.serving.settings import Settings

CASES = Path(__file__).parent.parent / "cases"
WINDOW = 40_960  # samples: all of each file
ONE_STEP = 1.01 / 32768  # records are of 16 bits


class Case(NamedTuple):
    """A file and its right value.

    Attributes:
        rate: Hz.
        value: gives f32[n], the sound; or None where the file is refused.
        note: part of what is to be reported; or of the reason.
    """

    rate: int
    value: Callable[[], np.ndarray] | None
    note: str = ""


def raw(name: str) -> Callable[[], np.ndarray]:
    """The bytes after the head of the chunk `data`."""

    def value() -> np.ndarray:
        data = (CASES / name).read_bytes()
        return np.frombuffer(data[data.index(b"data") + 8 :], np.int16) / 32768

    return value


def left(name: str) -> Callable[[], np.ndarray]:
    return lambda: raw(name)()[::2]


def repaired(name: str, *changes: tuple[int, bytes]) -> Callable[[], np.ndarray]:
    """Returns what libsndfile reads when the header is put right."""

    def value() -> np.ndarray:
        data = bytearray((CASES / name).read_bytes())
        for place, part in changes:
            data[place : place + len(part)] = part
        return soundfile.read(io.BytesIO(data), dtype="float32")[0]

    return value


def joined() -> np.ndarray:
    data = (CASES / "s03_joined.mp3").read_bytes()
    parts = (data[:11_160], data[11_160:])
    return np.concatenate([soundfile.read(io.BytesIO(part), dtype="float32")[0] for part in parts])


XING_FRAMES = 21  # byte of the number of frames
CASES_OF_SOUND = {
    "s01_v_mono.wav": Case(8000, raw("s01_v_mono.wav")),
    "s01_A_antiphase_hum.wav": Case(8000, left("s01_A_antiphase_hum.wav"), "channels that cancel"),
    "s01_B_antiphase.wav": Case(8000, raw("s01_v_mono.wav"), "channels that cancel"),
    "s02_flac_unknown_length.flac": Case(
        16_000, repaired("s02_flac_unknown_length.flac", (22, (3000).to_bytes(4, "big")))
    ),
    "s03_xing_frames_half.mp3": Case(
        16_000, repaired("s03_xing_frames_half.mp3", (XING_FRAMES, b"\0\0\0\x1e")), "states 0.460 s"
    ),
    "s03_xing_frames_double.mp3": Case(
        16_000, repaired("s03_xing_frames_double.mp3", (XING_FRAMES, b"\0\0\0\x1e")), "states 2.080 s"
    ),
    "s03_joined.mp3": Case(16_000, joined, "joins 2 recordings, 2.000 s"),
    "v1_truncated_half.mp3": Case(16_000, None, "truncated: 6959 of 16000 samples"),
    "s04_a_ext16.wav": Case(8000, raw("s04_a_ext16.wav")),
    "s04_d_oddlist.wav": Case(8000, raw("s04_d_oddlist.wav")),
    "s04_e_size0.wav": Case(8000, raw("s04_e_size0.wav")),
    "s29_two_chirps_3s.flac": Case(8000, repaired("s29_two_chirps_3s.flac")),
}


def window(sound: np.ndarray) -> np.ndarray:
    """The sound without a constant offset, in the middle of zeros."""
    before = (WINDOW - len(sound) + 1) // 2
    centred = sound - sound.mean()
    return np.pad(np.round(centred * 32768) / 32768, (before, WINDOW - len(sound) - before))


def spec_of(case: Case) -> AudioSpec:
    return AudioSpec(sample_rate=case.rate, samples=WINDOW, max_seconds=10.0)


@functools.cache
def graph_reader(rate: int) -> Callable[[list[bytes]], np.ndarray]:
    read = wav_reader(AudioSpec(sample_rate=rate, samples=WINDOW, max_seconds=10.0))
    return tf.function(read, input_signature=[tf.TensorSpec((None,), tf.string)], autograph=False)


@pytest.mark.parametrize("name", CASES_OF_SOUND)
def test_prepare(name: str) -> None:
    case = CASES_OF_SOUND[name]
    spec = spec_of(case)
    if case.value is None:
        with pytest.raises(UnreadableFile, match=case.note):
            read_files([CASES / name], "audio", Data(audio=spec))
        return
    read = read_files([CASES / name], "audio", Data(audio=spec))
    values = audio_reader(read.records, WINDOW, cached=True)(tf.constant([0], tf.int64), tf.zeros(1))
    np.testing.assert_allclose(values[0], window(case.value()), atol=ONE_STEP)
    assert case.note in " ".join(read.reports[0].notes) and bool(case.note) == bool(read.reports[0].notes)


@pytest.mark.parametrize("name", CASES_OF_SOUND)
def test_the_service(name: str) -> None:
    case = CASES_OF_SOUND[name]
    reader = MediaReader(Config(name="cases", data=Data(audio=spec_of(case))), Settings())
    data = (CASES / name).read_bytes()
    if case.value is None:
        with pytest.raises(Refused) as caught:
            reader.open(data, "audio")
        assert case.note in caught.value.reason
        return
    medium = reader.open(data, "audio")
    np.testing.assert_allclose(medium.values[0], window(case.value()), atol=ONE_STEP)
    assert case.note in " ".join(medium.notes)
    assert medium.used is not None and medium.used.end == pytest.approx(len(case.value()) / case.rate)


@pytest.mark.parametrize("name", CASES_OF_SOUND)
def test_the_served_graph(name: str) -> None:
    case = CASES_OF_SOUND[name]
    read, data = graph_reader(case.rate), (CASES / name).read_bytes()
    if name.endswith(".wav"):
        assert case.value is not None
        np.testing.assert_allclose(read([data])[0], window(case.value()), atol=ONE_STEP)
        return
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        read([data])
    form = {"mp3": "MP3", "flac": "FLAC"}[name.rsplit(".")[-1]]
    assert f"[{form}]" in str(caught.value) and "this takes WAV files" in str(caught.value)


def test_a_vbr_mp3_without_a_header_is_read_to_its_last_frame() -> None:
    name = "s03_vbr_without_xing.mp3"
    data, place, frames = (CASES / name).read_bytes(), 0, 0
    kbits = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    while place < len(data):
        place += 72_000 * kbits[data[place + 2] >> 4] // 16_000 + (data[place + 2] >> 1 & 1)
        frames += 1
    spec = AudioSpec(sample_rate=16_000, samples=WINDOW)
    read = read_files([CASES / name], "audio", Data(audio=spec)).records
    assert place == len(data) and read.lengths[0] == frames * 576 - 529  # less the decoder's delay


def test_every_sound_of_the_cases_is_tested() -> None:
    sounds = {path.name for path in CASES.iterdir() if path.suffix in (".wav", ".flac", ".mp3")}
    assert sounds == {*CASES_OF_SOUND, "s03_vbr_without_xing.mp3"}


def test_the_part_of_a_long_recording_that_is_used_is_reported() -> None:
    """Two chirps two seconds apart, and a window of about one second."""
    spec = AudioSpec(sample_rate=8000, samples=8192)
    sound = repaired("s29_two_chirps_3s.flac")()
    energy = np.convolve(np.round(sound * 32768.0).astype(np.int64) ** 2, np.ones(8192, np.int64), "valid")
    start = int(np.argmax(energy))
    report = read_files([CASES / "s29_two_chirps_3s.flac"], "audio", Data(audio=spec)).reports[0]
    assert report.used is not None and report.used.is_cut
    assert abs(report.used.start - start / 8000) < 0.01 and report.used.of == 3.0
    assert report.used.end - report.used.start == pytest.approx(1.024)
    (line,) = report.lines()
    assert "its loudest 1.024 s, from " in line and "of 3.000 s, are used" in line
