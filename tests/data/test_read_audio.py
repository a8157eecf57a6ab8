"""Every format of sound is read to known content, and damaged files are refused with one reason."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from vqmm.config import AudioSpec
from vqmm.data.read_audio import load_audio
from vqmm.errors import UnreadableFile

RATE = 16_000
SPEC = AudioSpec(sample_rate=RATE)


def _tone(rate: int, seconds: float = 0.5, hertz: float = 440.0) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def _refused(path: Path, spec: AudioSpec = SPEC) -> str:
    with pytest.raises(UnreadableFile) as caught:
        load_audio(path, spec)
    assert str(path) in str(caught.value) and str(path) not in caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize(
    "kind", ["wav/PCM_16", "wav/FLOAT", "wav/PCM_U8", "flac/PCM_16", "ogg/VORBIS", "mp3/"]
)
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (8_000, 1)])
def test_formats_rates_and_channels(tmp_path: Path, kind: str, rate: int, channels: int) -> None:
    suffix, subtype = kind.split("/")
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.stack([_tone(rate)] * channels, axis=1), rate, subtype=subtype or None)
    audio = load_audio(path, SPEC)
    assert audio.dtype == np.float32
    assert abs(audio.size / RATE - 0.5) < 0.06  # MP3 pads to whole frames
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(audio.size), RATE * 4))
    assert abs(np.argmax(spectrum) / 4 - 440) < 2
    assert abs(np.sqrt(np.mean(audio[2000:6000] ** 2)) - 0.5 / np.sqrt(2)) < 0.02


def test_resampling_agrees_with_librosa_and_four_channels_at_192_khz_are_averaged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sound = (0.2 * rng.standard_normal((19_200, 4))).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, 192_000, subtype="FLOAT")
    mono = sound.mean(axis=1)
    wanted = librosa.resample(mono - mono.mean(), orig_sr=192_000, target_sr=RATE, res_type="soxr_hq")
    np.testing.assert_allclose(load_audio(tmp_path / "a.wav", SPEC), wanted, atol=1e-5)


def test_a_constant_offset_goes_and_the_level_stays(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * _tone(RATE) + 0.3, RATE, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "a.wav", SPEC), 0.1 * _tone(RATE), atol=1e-3)
    soundfile.write(tmp_path / "b.wav", 8 * _tone(RATE), RATE, subtype="FLOAT")
    assert abs(np.abs(load_audio(tmp_path / "b.wav", SPEC)).max() - 1) < 1e-6


def test_trimming_follows_the_spec(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.pad(_tone(RATE), RATE), RATE)
    assert load_audio(tmp_path / "a.wav", SPEC).size == 2.5 * RATE
    assert load_audio(tmp_path / "a.wav", AudioSpec(sample_rate=RATE, trim_db=35)).size < 0.7 * RATE


def test_damaged_audio_has_a_reason(tmp_path: Path) -> None:
    for suffix in ("wav", "flac", "ogg", "aiff"):
        whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
        soundfile.write(whole, _tone(RATE, 2), RATE)
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        _refused(cut, SPEC)
    assert "truncated: 31978 of 64000 bytes" in _refused(tmp_path / "cut.wav", SPEC)
    nan = _tone(RATE)
    nan[7] = np.nan
    soundfile.write(tmp_path / "nan.wav", nan, RATE, subtype="FLOAT")
    assert "NaN" in _refused(tmp_path / "nan.wav", SPEC)
    soundfile.write(tmp_path / "none.wav", nan[:0], RATE)
    assert "no samples" in _refused(tmp_path / "none.wav", SPEC)
    soundfile.write(tmp_path / "one.wav", _tone(RATE)[5:45], RATE)
    assert "0.01 s is the least" in _refused(tmp_path / "one.wav", SPEC)
    soundfile.write(tmp_path / "silent.wav", np.full(RATE, 0.2), RATE)
    assert "silent" in _refused(tmp_path / "silent.wav", SPEC)
    soundfile.write(tmp_path / "long.wav", _tone(RATE, 3), RATE)
    assert "3.0 s; data.audio.max_seconds=2" in _refused(
        tmp_path / "long.wav", AudioSpec(sample_rate=RATE, max_seconds=2)
    )
    (tmp_path / "text.wav").write_text("not sound at all\n" * 20)
    assert "cannot be read as audio" in _refused(tmp_path / "text.wav", SPEC)
    (tmp_path / "nothing.wav").touch()
    assert "0 bytes" in _refused(tmp_path / "nothing.wav", SPEC)
    assert "no such file" in _refused(tmp_path / "absent.wav", SPEC)


def test_a_wav_from_a_pipe_states_no_length_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    soundfile.write(path, _tone(RATE), RATE)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"data") + 4
    raw[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    assert load_audio(path, SPEC).size == RATE // 2
