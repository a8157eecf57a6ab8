"""Rows of a split's records into arrays: from memory, or decoded when asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vqmm.config import ImageSpec
from vqmm.data.decode import decode_audio_record, decode_image_record
from vqmm.data.records import Records, Split
from vqmm.data.stored_audio import read_stored_audio, stored_audio
from vqmm.data.windows import cut, loudest_start, window_start

# Rows i64[B] (negative: missing, gives zeros) and jitter f32[B] to f32[B, samples].
AudioReader = Callable[[Any, Any], Any]
# Rows i64[B] (negative: missing, gives zeros) to f32[B, H, W, C].
ImageReader = Callable[[Any], Any]


def decoded_bytes(split: Split, spec: ImageSpec) -> int:
    """Memory that a split takes once decoded: 16-bit samples and 8-bit pixels."""
    picture = spec.height * spec.width * spec.channels
    return 2 * int(split.recordings.lengths.sum()) + picture * len(split.pictures)


def audio_reader(records: Records, window: int, cached: bool) -> AudioReader:
    """Makes the function that reads windows of recordings, in the graph.

    A window lies `jitter` windows beside the loudest one; shorter recordings are
    centred in zeros. With `cached` all are decoded now, else each when it is read.
    """
    if not len(records):
        return lambda rows, jitter: tf.zeros((tf.size(rows), window))
    if not cached:
        fetch = _fetcher(records)
        form = stored_audio(records.data[0])  # one for all of a data set

        def decode_one(data: Any, jitter: Any) -> Any:
            samples = decode_audio_record(data, form)
            length = tf.size(samples, tf.int64)
            start = window_start(loudest_start(samples, window), length, window, jitter)
            return cut(samples, tf.constant(0), length, start, window)

        def read_encoded(rows: Any, jitter: Any) -> Any:
            def one(item: Any) -> Any:
                data, shift = item
                missing = tf.equal(tf.strings.length(data), 0)
                return tf.cond(missing, lambda: tf.zeros(window), lambda: decode_one(data, shift))

            spec = tf.TensorSpec((window,), tf.float32)
            return tf.map_fn(one, (fetch(rows), jitter), fn_output_signature=spec)

        return read_encoded

    decoded = [read_stored_audio(data) for data in records.data]  # quicker than a graph for each
    flat = tf.constant(np.concatenate(decoded))
    lengths = np.array([len(samples) for samples in decoded], np.int64)
    loudest = tf.constant([_loudest(samples, window) for samples in decoded], tf.int64)
    index = tf.int32 if len(flat) < 2**31 else tf.int64
    offsets, lengths = tf.constant(np.cumsum(lengths) - lengths, index), tf.constant(lengths)

    def read(rows: Any, jitter: Any) -> Any:
        row = tf.maximum(rows, 0)
        length = tf.where(rows >= 0, tf.gather(lengths, row), 0)
        start = window_start(tf.gather(loudest, row), length, window, jitter)
        return cut(flat, tf.gather(offsets, row), length, start, window)

    return read


def image_reader(records: Records, spec: ImageSpec, cached: bool) -> ImageReader:
    """Makes the function that reads pictures, in the graph; see `audio_reader`."""
    shape = (spec.height, spec.width, spec.channels)
    if not len(records):
        return lambda rows: tf.zeros((tf.size(rows), *shape))

    def decode_one(data: Any) -> Any:
        return tf.ensure_shape(decode_image_record(data, spec.channels), shape)

    if cached:
        pixels = tf.constant(np.stack([decode_one(data) for data in records.data]))
        return lambda rows: _present(rows, tf.gather(pixels, tf.maximum(rows, 0)))
    fetch = _fetcher(records)

    def one(data: Any) -> Any:
        missing = tf.equal(tf.strings.length(data), 0)
        return tf.cond(missing, lambda: tf.zeros(shape, tf.uint8), lambda: decode_one(data))

    signature = tf.TensorSpec(shape, tf.uint8)
    return lambda rows: _present(rows, tf.map_fn(one, fetch(rows), fn_output_signature=signature))


def _present(rows: Any, pixels: Any) -> Any:
    return tf.where(rows[:, None, None, None] >= 0, tf.cast(pixels, tf.float32) / 255.0, 0.0)


def _loudest(samples: npt.NDArray[np.int16], window: int) -> int:
    return int(loudest_start(samples, window)) if len(samples) > window else 0


def _fetcher(records: Records) -> Callable[[Any], Any]:
    """Rows i64[B] to encoded bytes str[B], empty where missing, without a second copy of all."""

    def fetch(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        return np.array([records.data[row] if row >= 0 else b"" for row in rows], object)

    def read(rows: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(fetch, [rows], tf.string, stateful=False), rows.shape)

    return read
