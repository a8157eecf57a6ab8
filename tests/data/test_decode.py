"""Every format and mode decodes to known content; what is damaged gets one reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

from vqmm.config import AudioSpec, Data, ImageSpec
from vqmm.data.decode import decode_audio_record, decode_image_record, load_audio, load_image
from vqmm.data.workers import encode_file
from vqmm.errors import UnreadableFile

RATE = 16_000
SPEC = AudioSpec(sample_rate=RATE)
FRAME = ImageSpec(height=24, width=32, channels=3)
RED, BLACK = (230, 20, 30), (0, 0, 0)


def _tone(rate: int, seconds: float = 0.5, hertz: float = 440.0) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def _drawing() -> Image.Image:
    picture = Image.new("RGB", (32, 24), BLACK)
    picture.paste(RED, (8, 6, 24, 18))
    return picture


def _refused(path: Path, spec: AudioSpec | ImageSpec) -> str:
    with pytest.raises(UnreadableFile) as caught:
        load_audio(path, spec) if isinstance(spec, AudioSpec) else load_image(path, spec)
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


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp"])
def test_picture_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    _drawing().save(path, **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    picture = load_image(path, FRAME)
    assert picture.shape == (24, 32, 3) and picture.dtype == np.uint8
    np.testing.assert_allclose(picture[12, 16], RED, atol=8)
    np.testing.assert_allclose(picture[2, 2], BLACK, atol=8)


def test_picture_modes(tmp_path: Path) -> None:
    drawing = _drawing()
    drawing.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    drawing.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    for name in ("cmyk.jpg", "palette.png"):
        np.testing.assert_allclose(load_image(tmp_path / name, FRAME)[12, 16], RED, atol=8)
    grey = np.zeros((24, 32), np.uint16)
    grey[6:18, 8:24] = 40_000
    Image.fromarray(grey).save(tmp_path / "grey16.png")
    assert load_image(tmp_path / "grey16.png", FRAME)[12, 16].tolist() == [round(40_000 / 257)] * 3
    drawing.convert("1").save(tmp_path / "bits.png")
    assert set(np.unique(load_image(tmp_path / "bits.png", FRAME))) == {0, 255}
    luma = load_image(tmp_path / "palette.png", ImageSpec(height=24, width=32, channels=1))
    assert luma.shape == (24, 32, 1)
    assert abs(int(luma[12, 16, 0]) - drawing.convert("L").getpixel((16, 12))) <= 2


def test_alpha_lies_over_white_or_over_black_where_the_background_is_dark(tmp_path: Path) -> None:
    drawing = _drawing().convert("RGBA")
    drawing.putalpha(drawing.convert("L").point(lambda value: 255 if value else 0))
    drawing.save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", FRAME)[0, 0].tolist() == [255] * 3
    dark = load_image(tmp_path / "a.png", FRAME.model_copy(update={"background": "dark"}))
    assert dark[0, 0].tolist() == [0] * 3
    np.testing.assert_allclose(dark[12, 16], RED, atol=1)


def test_black_strokes_on_nothing_do_not_vanish_on_a_dark_background(tmp_path: Path) -> None:
    strokes = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    strokes.paste((0, 0, 0, 255), (8, 4, 12, 16))
    strokes.save(tmp_path / "a.png")
    framed = load_image(tmp_path / "a.png", ImageSpec(height=20, width=20, channels=1, background="dark"))
    assert framed[0, 0, 0] == 0 and framed[10, 10, 0] == 255


def test_a_cameras_orientation_mark_is_obeyed(tmp_path: Path) -> None:
    picture = Image.new("RGB", (32, 24), BLACK)
    picture.paste((255, 255, 255), (0, 0, 16, 24))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    framed = load_image(tmp_path / "a.jpg", FRAME)
    assert framed[12, 4].max() < 8 and framed[12, 28].min() > 247


def test_only_the_first_frame_of_an_animation_counts(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (32, 24), (0, 0, 255)), Image.new("RGB", (32, 24), (255, 0, 0))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert load_image(tmp_path / "a.gif", FRAME)[12, 16].tolist() == [0, 0, 255]


def huge_png(side: int) -> bytes:
    """A PNG of side x side pixels whose header is honest and whose data is missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_damaged_pictures_have_a_reason(tmp_path: Path) -> None:
    for side in (8_000, 12_000, 20_000, 60_000):
        (tmp_path / "huge.png").write_bytes(huge_png(side))
        reason = _refused(tmp_path / "huge.png", FRAME)
        assert str(side * side) in reason and "not decoded" in reason and "max_pixels=50000000" in reason
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    for suffix in ("png", "jpg", "webp", "bmp", "gif"):
        noise.save(tmp_path / f"whole.{suffix}")
        raw = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"cut.{suffix}").write_bytes(raw[: len(raw) * 2 // 3])
        assert "cannot be read as a picture" in _refused(tmp_path / f"cut.{suffix}", FRAME)
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    assert "1 x 1 pixels; 2 x 2 is the least" in _refused(tmp_path / "dot.png", FRAME)
    (tmp_path / "text.png").write_text("this is no picture")
    assert "none of PNG, JPEG" in _refused(tmp_path / "text.png", FRAME)
    assert "no such file" in _refused(tmp_path / "absent.png", FRAME)


def test_records_decode_in_a_graph_to_what_was_loaded(tmp_path: Path) -> None:
    data = Data(audio=AudioSpec(sample_rate=8_000), image=ImageSpec(height=20, width=30, channels=1))
    soundfile.write(tmp_path / "a.wav", _tone(RATE), RATE)
    _drawing().save(tmp_path / "a.png")
    sound = encode_file(tmp_path / "a.wav", "audio", data)
    picture = encode_file(tmp_path / "a.png", "image", data)
    both = tf.function(lambda s, p: (decode_audio_record(s), decode_image_record(p)))(
        sound.data, picture.data
    )
    wanted = load_audio(tmp_path / "a.wav", data.audio)
    assert both[0].dtype == tf.float32 and both[0].shape == (sound.length,) == wanted.shape
    np.testing.assert_allclose(both[0], wanted, atol=0.5001 / 32768)
    np.testing.assert_array_equal(both[1], load_image(tmp_path / "a.png", data.image))
