"""Requests that TensorFlow Serving replays before it hands a new version to clients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from vqmm.extras import requires_extra

if TYPE_CHECKING:
    from vqmm.export.signatures import Signature

WARMUP_FILE = "tf_serving_warmup_requests"
MODEL_NAME = "vqmm"
BATCHES = (1, 8)


def write_warmup(path: Path, signatures: Mapping[str, Signature], sample_rate: int, picture: Any) -> None:
    """Writes a TFRecord of `PredictionLog`, one for each signature and batch size in `BATCHES`.

    Args:
        path: `assets.extra/tf_serving_warmup_requests` of a SavedModel.
        signatures: of the SavedModel.
        sample_rate: Hz, of the WAV files that are sent.
        picture: height, width and channels of the PNG files.

    Raises:
        UserError: tensorflow-serving-api is not installed.
    """
    with requires_extra("export", "a SavedModel with requests to warm it up"):
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    files = {"audio_bytes": tone_wav(sample_rate), "image_bytes": square_png(picture)}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, signature in signatures.items():
            for batch in BATCHES:
                request = predict_pb2.PredictRequest()
                request.model_spec.name = MODEL_NAME
                request.model_spec.signature_name = name
                for key, spec in signature.inputs.items():
                    value = example(key, spec, batch, files)
                    request.inputs[key].CopyFrom(tf.make_tensor_proto(value, spec.dtype))
                log = prediction_log_pb2.PredictionLog()
                log.predict_log.request.CopyFrom(request)
                writer.write(log.SerializeToString())


def example(name: str, spec: Any, batch: int, files: Mapping[str, bytes]) -> Any:
    """A legal value of an input: `batch` rows like `spec`, files out of `files` by the input's name."""
    if spec.dtype == tf.string:
        return [files[name]] * batch
    shape = (batch, *spec.shape[1:])
    if spec.dtype == tf.int32:  # private codes may be left out
        return np.full(shape, 0 if name == "shared" else -1, np.int32)
    return np.random.default_rng(0).uniform(0.0, 0.5, shape).astype(np.float32)


def tone_wav(sample_rate: int) -> bytes:
    """A WAV file of half a second."""
    tone = 0.5 * np.sin(2 * np.pi * 0.06 * np.arange(sample_rate // 2, dtype=np.float32))
    return bytes(tf.audio.encode_wav(tone[:, None], sample_rate).numpy())


def square_png(shape: Any) -> bytes:
    """A PNG file of a white square on black, of this height, width and number of channels."""
    pixels = np.zeros(shape, np.uint8)
    pixels[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = 255
    return bytes(tf.io.encode_png(pixels).numpy())
