"""All sound that a file holds is read: cut, streamed, joined and mislabelled files."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_files import FORMATS, RATE, encode, speech

from vqmm.config import AudioSpec
from vqmm.data.read_audio import Recording, read_recording
from vqmm.errors import UnreadableFile

SPEC = AudioSpec(sample_rate=RATE, max_seconds=5.0)
SOUND = speech()
FILES = {kind: encode(SOUND, kind) for kind in FORMATS}
ROUNDING = 1e-6  # mpg123 rounds otherwise after a seek, and soundfile.read seeks


def recording(path: Path, data: bytes, spec: AudioSpec = SPEC) -> Recording:
    path.write_bytes(data)
    return read_recording(path, spec)


def centred(sound: np.ndarray) -> np.ndarray:
    return sound - sound.mean(dtype=np.float64).astype(np.float32)


def decoded(data: bytes) -> np.ndarray:
    """Reads a file without faults by libsndfile alone."""
    return soundfile.read(io.BytesIO(data), dtype="float32")[0]


def same(read: Recording, data: bytes) -> None:
    expected = centred(decoded(data))
    assert read.samples.size == expected.size
    np.testing.assert_allclose(read.samples, expected, atol=ROUNDING)


def with_flac_count(data: bytes, count: int) -> bytes:
    changed = bytearray(data)
    changed[21] = changed[21] & 0xF0 | count >> 32
    changed[22:26] = struct.pack(">I", count & 0xFFFFFFFF)
    return bytes(changed)


def tag_of(data: bytes) -> int:
    return max(data.find(b"Info"), data.find(b"Xing"))


def with_mp3_frames(data: bytes, factor: float) -> bytes:
    at = tag_of(data) + 8
    count = struct.unpack_from(">I", data, at)[0]
    return data[:at] + struct.pack(">I", int(count * factor)) + data[at + 4 :]


def with_wav_size(data: bytes, size: int) -> bytes:
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", size) + data[at + 4 :]


@pytest.mark.parametrize("kind", FORMATS)
def test_files_without_faults_are_read_as_libsndfile_reads_them(kind: str, tmp_path: Path) -> None:
    read = recording(tmp_path / "a", FILES[kind])
    same(read, FILES[kind])
    assert read.notes == () and (read.begin, read.total) == (0, SOUND.size)


@pytest.mark.parametrize("kind", FORMATS)
def test_all_of_joined_files_are_read_and_that_is_reported(kind: str, tmp_path: Path) -> None:
    other = encode(SOUND[::-1][: RATE // 2].copy(), kind)
    read = recording(tmp_path / "a", FILES[kind] + other)
    expected = np.concatenate([decoded(FILES[kind]), decoded(other)])
    np.testing.assert_allclose(read.samples, centred(expected), atol=ROUNDING)
    assert read.notes == ("joins 2 recordings, 1.100 s in all; all of them are used",)


@pytest.mark.parametrize("factor", [0.5, 2.0, 0.1, 100.0])
def test_the_frames_that_an_mp3_states_do_not_decide(factor: float, tmp_path: Path) -> None:
    read = recording(tmp_path / "a", with_mp3_frames(FILES["mp3"], factor))
    same(read, FILES["mp3"])
    assert len(read.notes) == 1 and "holds 0.600 s; what it holds is used" in read.notes[0]


@pytest.mark.parametrize("count", [0, 100, 5_000])
def test_the_samples_that_a_flac_states_do_not_cut_it(count: int, tmp_path: Path) -> None:
    read = recording(tmp_path / "a", with_flac_count(FILES["flac"], count))
    same(read, FILES["flac"])
    assert len(read.notes) == (count > 0)
    with pytest.raises(UnreadableFile, match="truncated: 9600 of 9999 samples"):
        recording(tmp_path / "a", with_flac_count(FILES["flac"], 9_999))


@pytest.mark.parametrize("kind", ["wav", "float", "wavex"])
@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF, 0x7FFF_F000])
def test_a_wav_of_unstated_length_is_read(kind: str, size: int, tmp_path: Path) -> None:
    read = recording(tmp_path / "a", with_wav_size(FILES[kind], size))
    same(read, FILES[kind])


@pytest.mark.parametrize("size", [0, 2**64 - 1])
def test_an_rf64_of_unstated_length_is_read(size: int, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, SOUND, RATE, format="RF64", subtype="PCM_16")
    data = buffer.getvalue()
    at = data.index(b"ds64") + 16
    read = recording(tmp_path / "a", data[:at] + struct.pack("<Q", size) + data[at + 8 :])
    same(read, data)
    with pytest.raises(UnreadableFile, match="truncated"):
        recording(tmp_path / "a", data[: len(data) // 2])


def test_an_empty_wav_with_other_chunks_is_empty_and_other_bytes_are_reported(tmp_path: Path) -> None:
    chunk = b"LIST" + struct.pack("<I", 4) + b"INFO"
    with pytest.raises(UnreadableFile, match="no samples"):
        recording(tmp_path / "a", with_wav_size(FILES["wav"], 0)[:44] + chunk)
    assert recording(tmp_path / "a", FILES["wav"] + chunk).notes == ()
    half = recording(tmp_path / "a", with_wav_size(FILES["wav"], SOUND.size))
    assert half.samples.size == SOUND.size // 2
    assert half.notes == (f"{SOUND.size} bytes after the sound that its header states are not read",)


def test_a_tag_before_or_after_the_sound_changes_nothing(tmp_path: Path) -> None:
    before, after = b"ID3\x04\0\0\0\0\1\0" + bytes(128), b"TAG" + bytes(125)
    for kind in ("flac", "mp3"):
        read = recording(tmp_path / "a", before + FILES[kind] + after)
        same(read, FILES[kind])
        assert read.notes == ()
    read = recording(tmp_path / "a", FILES["flac"] + b"something else" * 20)
    same(read, FILES["flac"])
    assert "cannot be decoded and is not used" in read.notes[0]


def test_an_mp3_without_a_header_is_read_to_its_end(tmp_path: Path) -> None:
    data = FILES["mp3"]
    size = next(n for n in range(40, 2000) if data[n : n + 3] == data[:3])
    read = recording(tmp_path / "a", data[size:])
    frames = struct.unpack_from(">I", data, tag_of(data) + 8)[0]
    assert read.samples.size == frames * 576 - 529  # mpg123's own delay is left out
    found = np.correlate(read.samples, centred(decoded(data))[2000:4000], "valid").argmax()
    np.testing.assert_allclose(
        read.samples[found : found + 2000], centred(decoded(data))[2000:4000], atol=2e-3
    )


def test_what_joins_other_rates_is_refused(tmp_path: Path) -> None:
    for kind in ("mp3", "wav", "flac", "ogg"):
        other = encode(speech(0.5, 44_100), kind, 44_100)
        with pytest.raises(UnreadableFile, match="joins recordings of 16000 .*44100 Hz"):
            recording(tmp_path / "a", FILES[kind] + other)
    stereo = encode(np.stack([SOUND, 0.5 * SOUND], axis=1), "mp3")
    with pytest.raises(UnreadableFile, match="1 channels, and 16000 Hz, 2 channels"):
        recording(tmp_path / "a", FILES["mp3"] + stereo)


def test_the_limit_holds_where_no_length_is_stated(tmp_path: Path) -> None:
    spec = AudioSpec(sample_rate=RATE, max_seconds=0.5)
    for data in (with_flac_count(FILES["flac"], 0), with_wav_size(FILES["wav"], 0), 2 * FILES["ogg"]):
        with pytest.raises(UnreadableFile, match=r"lasts .*0\.6 s; data.audio.max_seconds=0.5"):
            recording(tmp_path / "a", data, spec)
    lying = with_mp3_frames(FILES["mp3"], 100.0)
    assert recording(tmp_path / "a", lying).samples.size == SOUND.size


def test_an_ogg_cut_between_pages_is_noted(tmp_path: Path) -> None:
    data = encode(np.tile(SOUND, 5), "ogg")
    last = data.rindex(b"OggS")
    read = recording(tmp_path / "a", data[:last])
    assert read.samples.size < 5 * SOUND.size
    assert read.notes == ("has no mark of its end: sound after it may be missing",)
    with pytest.raises(UnreadableFile, match="last page of sound is not all there"):
        recording(tmp_path / "a", data[: last + 40])


@settings(max_examples=120)
@given(
    kind=st.sampled_from(sorted(FORMATS)),
    cut=st.floats(0.02, 1.0),
    patch=st.sampled_from(["none", "low", "high", "zero", "ones"]),
)
def test_no_more_is_read_than_was_encoded_and_no_less_than_decodes(
    tmp_path_factory: pytest.TempPathFactory, kind: str, cut: float, patch: str
) -> None:
    data, path = FILES[kind], tmp_path_factory.getbasetemp() / "property.bin"
    if patch != "none":
        number = {"low": SOUND.size // 2, "high": SOUND.size * 2, "zero": 0, "ones": 0xFFFF_FFFF}[patch]
        if kind == "flac":
            data = with_flac_count(data, number)
        elif kind == "mp3":
            data = with_mp3_frames(data, number / SOUND.size if patch != "ones" else 1000)
        elif kind in ("wav", "float", "wavex"):
            data = with_wav_size(data, number)
    data = data[: round(cut * len(data))]
    try:
        read = recording(path, data)
    except UnreadableFile:
        return
    whole = decoded(FILES[kind])
    assert 0 < read.samples.size <= SOUND.size
    count = read.samples.size
    # What came before the cut is as it was encoded, and no memory stands for what came after.
    found, expected = read.samples - read.samples.mean(), whole[:count] - whole[:count].mean()
    agree = count if kind not in ("ogg", "opus") else max(0, count - 2048)  # lapped with what is cut
    np.testing.assert_allclose(found[:agree], expected[:agree], atol=1e-3 + 0.05 * (count < SOUND.size))
