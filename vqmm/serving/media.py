"""Files that clients send, as items of a model: exactly as `prepare` makes them."""

from __future__ import annotations

import io
import struct
import tempfile
import threading
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import tensorflow as tf
from PIL import Image

from vqmm.config import Config
from vqmm.data.png_chunks import PNG_SIGNATURE
from vqmm.data.read_audio import read_recording
from vqmm.data.read_image import IMAGE_FORMATS, load_image
from vqmm.data.used_part import UsedPart, used_part
from vqmm.data.windows import cut, loudest_start, window_start
from vqmm.errors import UnreadableFile
from vqmm.serving.refused import Refused
from vqmm.serving.settings import Settings

_pictures = threading.Lock()  # Pillow's warnings are silenced for the whole process while it reads


class Medium(NamedTuple):
    """A file as an item of a model.

    Attributes:
        values: f32[1, samples] or f32[1, height, width, channels].
        length: samples of a recording before it is cut or padded for the model; 0 for a picture.
        used: the part of a recording that the values are; None for a picture.
        notes: what a person should know of how the file was read, sentences without their subject.
    """

    values: npt.NDArray[np.float32]
    length: int
    used: UsedPart | None = None
    notes: tuple[str, ...] = ()


class MediaReader:
    """Reads recordings and pictures within the limits of a service and of its model.

    Args:
        config: of the exported model.
        settings: of the service.
    """

    def __init__(self, config: Config, settings: Settings) -> None:
        audio, image = config.data.audio, config.data.image
        seconds, pixels = min(settings.seconds, audio.max_seconds), min(settings.pixels, image.max_pixels)
        self.audio = audio.model_copy(update={"max_seconds": seconds})
        self.image = image.model_copy(update={"max_pixels": pixels})
        window = audio.samples

        def windowed(samples: Any) -> Any:
            length = tf.size(samples, tf.int64)
            start = window_start(loudest_start(samples, window), length, window, tf.constant(0.0))
            return cut(samples, tf.constant(0), length, start, window)

        self._windowed = tf.function(windowed, input_signature=[tf.TensorSpec((None,), tf.int16)])

    def read(self, data: bytes, modality: str) -> npt.NDArray[np.float32]:
        """The values that `open` gives."""
        return self.open(data, modality).values

    def open(self, data: bytes, modality: str) -> Medium:
        """Reads a file.

        Args:
            data: WAV, FLAC, MP3, OGG; or PNG, JPEG, GIF, BMP, WebP.
            modality: `"audio"` or `"image"`.

        Raises:
            Refused: 422, it cannot be read or is over a limit; with the reason.
        """
        # A client's text never becomes a path, and no drawing language is run.
        if modality == "image" and data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise Refused(422, f"the picture is none of {', '.join(IMAGE_FORMATS)}")
        with tempfile.NamedTemporaryFile(prefix="vqmm-") as file:
            file.write(data)
            file.flush()
            try:
                return self._load(file.name, modality)
            except UnreadableFile as error:
                what = "recording" if modality == "audio" else "picture"
                reason = error.reason.replace(", SVG", "")  # `load_image` reads it, this door does not
                raise Refused(422, f"the {what} {reason}") from None

    def _load(self, path: str, modality: str) -> Medium:
        if modality == "image":
            with _pictures:
                picture = load_image(path, self.image)
            return Medium(picture[None].astype(np.float32) / np.float32(255.0), 0)
        read = read_recording(path, self.audio)
        samples = np.clip(np.round(read.samples * 32768.0), -32768, 32767).astype(
            np.int16
        )  # as records hold it
        used = used_part(samples, read.begin, read.total, self.audio)
        return Medium(np.asarray(self._windowed(samples))[None], len(samples), used, read.notes)


def check_pixels(files: npt.NDArray[Any], picture_most: int, request_most: int) -> None:
    """Refuses pictures by the pixels that their headers state; what has no such header is left to the graph.

    Args:
        files: bytes of PNG and JPEG files, objects [n].
        picture_most: pixels that one of them may have.
        request_most: pixels that all of them may have together.

    Raises:
        Refused: 413.
    """
    total = 0
    for row, data in enumerate(files):
        try:
            wide, high = _stated_size(data)
        except Image.DecompressionBombError as error:
            raise Refused(413, f"picture {row}: {error}; {picture_most} pixels is the most") from None
        except Exception:  # the graph says what is wrong with it
            continue
        total += wide * high
        most = min(picture_most, request_most)
        if wide * high > most:
            raise Refused(413, f"picture {row} has {wide} x {high} pixels; {most} is the most")
    if total > request_most:
        raise Refused(
            413,
            f"the pictures of the request have {total} pixels together; {request_most} is the most: "
            "send several requests, or smaller pictures",
        )


def _stated_size(data: bytes) -> tuple[int, int]:
    """Width and height by the header alone."""
    if data.startswith(PNG_SIGNATURE):  # Pillow would read on to the pixels, texts and all
        return struct.unpack_from(">II", data, 16)
    with _pictures, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(io.BytesIO(data), formats=("JPEG",)).size


def png_of(picture: npt.NDArray[np.float32]) -> bytes:
    """A picture f32[H, W, C], 0..1, as PNG."""
    pixels = np.round(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def wav_of(audio: npt.NDArray[np.float32], sample_rate: int) -> bytes:
    """A recording f32[n], -1..1, as WAV of 16 bits."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, sample_rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
