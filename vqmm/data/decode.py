"""Decodes prepared records, FLAC and PNG, in a graph or eagerly.

This is the one module that uses tensorflow-io. TensorFlow is imported when a record is
first decoded, so that the workers of `prepare` start without it.
"""

from __future__ import annotations

from typing import Any


def decode_audio_record(flac: Any) -> Any:
    """Decodes the FLAC bytes of a record, in a graph or eagerly.

    Args:
        flac: string scalar tensor (or bytes): mono, 16 bit.

    Returns:
        f32[n], -1..1.
    """
    import io

    import soundfile
    import tensorflow as tf

    def decode(data: bytes) -> Any:
        return soundfile.read(io.BytesIO(data), dtype="int16")[0]

    samples = tf.numpy_function(decode, [flac], tf.int16, stateful=False)
    return tf.cast(tf.ensure_shape(samples, [None]), tf.float32) / 32768.0


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
