"""Decodes prepared records, WAV or FLAC and PNG, in a graph or eagerly.

TensorFlow is imported when a record is first decoded, so that the workers of `prepare`
start without it.
"""

from __future__ import annotations

from typing import Any

from vqmm.config import StoredAudio
from vqmm.data.flac_decoder import decode_flac
from vqmm.data.stored_audio import WAV_HEADER


def decode_audio_record(data: Any, form: StoredAudio) -> Any:
    """Decodes the bytes of a recording's record, in a graph or eagerly.

    Args:
        data: string scalar tensor (or bytes): mono, 16 bit.
        form: the stored form of `data`, see `vqmm.data.stored_audio.stored_audio`.

    Returns:
        i16[n].
    """
    import tensorflow as tf

    if form == "flac":
        return decode_flac(data)
    return tf.io.decode_raw(tf.strings.substr(data, WAV_HEADER, -1), tf.int16)


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
