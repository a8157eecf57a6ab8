"""Prepared records decode in a graph to what was loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

from vqmm.config import AudioSpec, Data, ImageSpec
from vqmm.data.decode import decode_audio_record, decode_image_record
from vqmm.data.read_audio import load_audio
from vqmm.data.read_image import load_image
from vqmm.data.workers import encode_file

RATE = 16_000
RED, BLACK = (230, 20, 30), (0, 0, 0)


def _tone(rate: int, seconds: float = 0.5, hertz: float = 440.0) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def _drawing() -> Image.Image:
    picture = Image.new("RGB", (32, 24), BLACK)
    picture.paste(RED, (8, 6, 24, 18))
    return picture


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_records_decode_in_a_graph_to_what_was_loaded(tmp_path: Path, form: Literal["wav", "flac"]) -> None:
    data = Data(
        audio=AudioSpec(sample_rate=8_000, stored_as=form), image=ImageSpec(height=20, width=30, channels=1)
    )
    soundfile.write(tmp_path / "a.wav", _tone(RATE), RATE)
    _drawing().save(tmp_path / "a.png")
    sound = encode_file(tmp_path / "a.wav", "audio", data)
    picture = encode_file(tmp_path / "a.png", "image", data)
    both = tf.function(lambda s, p: (decode_audio_record(s, form), decode_image_record(p)))(
        sound.data, picture.data
    )
    wanted = load_audio(tmp_path / "a.wav", data.audio)
    assert both[0].dtype == tf.int16 and both[0].shape == (sound.length,) == wanted.shape
    np.testing.assert_array_equal(both[0], np.round(wanted * 32768).clip(-32768, 32767))
    np.testing.assert_array_equal(both[1], load_image(tmp_path / "a.png", data.image))
