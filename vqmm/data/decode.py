"""Recordings and pictures into arrays: from files, and from prepared records.

The one module that uses tensorflow-io. TensorFlow is imported when a record is
first decoded, so that the workers of `prepare` start without it.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from PIL import Image, ImageOps

from vqmm.config import AudioSpec, ImageSpec
from vqmm.data.framing import LUMA, frame_picture
from vqmm.data.trim import trim_silence
from vqmm.errors import UnreadableFile, UserError

AUDIO_FORMATS = "WAV, FLAC, MP3, OGG"
IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
RATES = (1_000, 768_000)  # Hz; a header outside is damaged
SILENT = 1e-4  # peak, -80 dB of full scale
SHORTEST_SECONDS = 0.01
UNKNOWN_LENGTH = 0x7FFF_0000  # a WAV that was piped states this many bytes or more
BLOCK_FRAMES = 65_536
LARGE_SIDE = 1_024  # larger pictures are reduced first: enough to find and crop content in


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


def load_image(path: str | Path, spec: ImageSpec) -> npt.NDArray[np.uint8]:
    """Reads a picture into the model's frame.

    The size in the header is checked before anything is decoded. Of an animation
    the first frame counts; a camera's orientation mark is obeyed. Alpha is laid
    over white (over black where ``spec.background`` is dark); a picture that would
    vanish there, such as black strokes over black, is laid over the opposite.
    Then `vqmm.data.framing.frame_picture`.

    Args:
        path: PNG, JPEG, GIF, BMP, WebP, or SVG where cairosvg is installed; any
            mode, also palette, 16-bit grey, CMYK, alpha.
        spec: what the array must be like.

    Returns:
        u8[height, width, channels].

    Raises:
        UnreadableFile: (a UserError) no such file, not a picture, truncated, more
            than ``spec.max_pixels``, less than 2 x 2 pixels.
    """
    path = Path(path)
    kind = f"a picture ({', '.join(IMAGE_FORMATS)}, SVG)"
    with _reading(path, kind), path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd but readable files
        picture = _to_array(_open_picture(path, file, spec), spec)
    framed = frame_picture(
        picture,
        spec.height,
        spec.width,
        trim=spec.trim,
        background=spec.background,
        stretch=spec.stretch,
    )
    return np.round(framed * 255).astype(np.uint8)


def decode_audio_record(flac: Any) -> Any:
    """Decodes the FLAC bytes of a record, in a graph or eagerly.

    Args:
        flac: string scalar tensor (or bytes): mono, 16 bit.

    Returns:
        f32[n], -1..1.
    """
    import tensorflow as tf
    import tensorflow_io as tfio

    samples = tfio.audio.decode_flac(flac, dtype=tf.int16)
    return tf.cast(samples[:, 0], tf.float32) / 32768.0


def decode_image_record(png: Any, channels: int = 0) -> Any:
    """Decodes the PNG bytes of a record, in a graph or eagerly.

    Args:
        png: string scalar tensor (or bytes).
        channels: 1 or 3 to fix the static shape; 0 takes the file's.

    Returns:
        u8[H, W, C].
    """
    import tensorflow as tf

    return tf.io.decode_png(png, channels=channels)


@contextlib.contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    """Turns whatever a decoder throws at a damaged file into one clear reason."""
    if not path.is_file():
        raise UnreadableFile(path, "no such file")
    if path.stat().st_size == 0:
        raise UnreadableFile(path, "is empty (0 bytes)")
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        said = " ".join(str(error).replace(str(path), "it").split()) or type(error).__name__
        raise UnreadableFile(path, f"cannot be read as {kind}: {said}") from None


def _read_mono(path: Path, max_seconds: float) -> tuple[npt.NDArray[np.float32], int]:
    with _reading(path, f"audio ({AUDIO_FORMATS})"), soundfile.SoundFile(path) as file:
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


def _open_picture(path: Path, file: BinaryIO, spec: ImageSpec) -> Image.Image:
    """Reads the header; the pixels stay in the file until they are asked for."""
    head = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")
    if path.suffix.lower() == ".svg" or head.startswith(b"<svg"):
        from vqmm.data.svg import render_svg

        return render_svg(path, LARGE_SIDE)
    try:
        picture = Image.open(file, formats=IMAGE_FORMATS)
    except Image.DecompressionBombError as error:
        raise UnreadableFile(
            path, f"is too large, not decoded: {error}; data.image.max_pixels={spec.max_pixels} is the most"
        ) from None
    except Image.UnidentifiedImageError:
        raise UnreadableFile(path, f"is none of {', '.join(IMAGE_FORMATS)}, SVG, whatever its name") from None
    wide, high = picture.size
    if wide * high > spec.max_pixels:
        raise UnreadableFile(
            path,
            f"has {wide} x {high} = {wide * high} pixels, not decoded; "
            f"data.image.max_pixels={spec.max_pixels} is the most",
        )
    if min(wide, high) < 2:
        raise UnreadableFile(path, f"has {wide} x {high} pixels; 2 x 2 is the least")
    return picture


def _to_array(picture: Image.Image, spec: ImageSpec) -> npt.NDArray[np.float32]:
    """f32[h, w, channels], 0..1, neither side above `LARGE_SIDE` (or four times the frame)."""
    side = max(LARGE_SIDE, 4 * spec.height, 4 * spec.width)
    if picture.mode.startswith("I"):  # 16-bit grey
        picture = Image.fromarray(np.asarray(picture).astype(np.float32) / 65535)
    elif picture.has_transparency_data:
        picture = picture.convert("RGBA")
    elif picture.mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.BOX)
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "CMYK":
        picture = picture.convert("RGB")
    scale = 1.0 if picture.mode == "F" else 255.0
    array = np.asarray(picture, np.float32) / scale
    array = array[:, :, None] if array.ndim == 2 else array
    if array.shape[2] == 4:
        array = _over_background(array[:, :, :3], array[:, :, 3:], spec.background == "dark")
    if spec.channels == 1 and array.shape[2] == 3:
        array = (array @ LUMA)[:, :, None]
    return np.repeat(array, spec.channels // array.shape[2], axis=2)


def _over_background(
    colour: npt.NDArray[np.float32], alpha: npt.NDArray[np.float32], dark: bool
) -> npt.NDArray[np.float32]:
    ground = 0.0 if dark else 1.0
    contrast = (np.abs(colour - ground) * alpha).sum() / max(3 * alpha.sum(), 1e-6)
    if dark and contrast < 0.1:  # dark strokes on nothing: let the background rule invert them
        ground = 1.0
    return colour * alpha + ground * (1 - alpha)
