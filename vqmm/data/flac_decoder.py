"""Chooses what decodes FLAC in a graph: tensorflow-io where its native library loads, else libsndfile.

This is the one module that knows tensorflow-io. Both decoders give the same samples to the bit.
"""

from __future__ import annotations

import functools
import io
import logging
import os
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from vqmm.errors import UserError
from vqmm.quiet import quiet

log = logging.getLogger("vqmm.data")

VARIABLE = "VQMM_FLAC_DECODER"  # of the environment: "libsndfile" leaves tensorflow-io unused
PROBE = np.array([0, 1, -1, 32767, -32768, 12345, -54], np.int16)


class FlacDecoder(NamedTuple):
    """Says which decoder of FLAC is used, and why.

    Attributes:
        name: "tensorflow-io" or "libsndfile".
        version: of the installed tensorflow-io; None where it is not installed.
        reason: a sentence for people.
    """

    name: Literal["tensorflow-io", "libsndfile"]
    version: str | None
    reason: str


@functools.cache
def flac_decoder() -> FlacDecoder:
    """Chooses the decoder at the first call, logs the choice and keeps it. It writes nothing else.

    Returns:
        The choice. tensorflow-io is chosen only after it has decoded a short FLAC to the right samples.

    Raises:
        UserError: the environment variable VQMM_FLAC_DECODER names no decoder.
    """
    chosen = _choose()
    log.info("FLAC is decoded by %s: %s", chosen.name, chosen.reason)
    return chosen


def decode_flac(data: Any) -> Any:
    """Decodes FLAC by the chosen decoder, in a graph or eagerly.

    Args:
        data: string scalar tensor (or bytes): mono, 16 bit. No bytes are no samples: libsndfile
            writes a FLAC of no samples so.

    Returns:
        i16[n].
    """
    if flac_decoder().name == "tensorflow-io":
        return decode_flac_natively(data)
    return decode_flac_by_libsndfile(data)


def decode_flac_natively(data: Any) -> Any:
    """Decodes as `decode_flac` does, by tensorflow-io."""
    import tensorflow as tf
    import tensorflow_io as tfio

    return tf.cond(
        tf.equal(tf.strings.length(data), 0),
        lambda: tf.zeros(0, tf.int16),
        lambda: tfio.audio.decode_flac(data, dtype=tf.int16)[:, 0],
    )


def decode_flac_by_libsndfile(data: Any) -> Any:
    """Decodes as `decode_flac` does, by libsndfile in a Python function."""
    import tensorflow as tf

    samples = tf.numpy_function(read_flac, [data], tf.int16, stateful=False)
    return tf.ensure_shape(samples, [None])


def read_flac(data: bytes) -> npt.NDArray[np.int16]:
    """Decodes FLAC by libsndfile without TensorFlow; see `decode_flac`."""
    if not data:
        return np.zeros(0, np.int16)
    samples: npt.NDArray[np.int16] = soundfile.read(io.BytesIO(data), dtype="int16")[0]
    return samples


def _choose() -> FlacDecoder:
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in ("", "libsndfile"):
        raise UserError(
            f"the environment variable {VARIABLE} is {wanted!r}; it may be 'libsndfile', or unset for "
            "tensorflow-io where its native library loads"
        )
    try:
        held = version("tensorflow-io")
    except PackageNotFoundError:
        return FlacDecoder("libsndfile", None, "tensorflow-io is not installed")
    if wanted:
        return FlacDecoder("libsndfile", held, f"the environment variable {VARIABLE} says so")
    import tensorflow as tf  # before `quiet`: what TensorFlow itself writes is not ours to hide

    with_it = f"tensorflow-io {held} on TensorFlow {tf.__version__}"
    try:
        with quiet():
            samples = np.asarray(decode_flac_natively(_flac(PROBE)))
    except Exception as error:  # whatever a library raises that was built for another TensorFlow
        said = " ".join(str(error).split())
        if "undefined symbol" in said:
            said = "its native library was built for another TensorFlow"
        return FlacDecoder("libsndfile", held, f"{with_it}: {said[:200]}")
    if not np.array_equal(samples, PROBE):
        return FlacDecoder("libsndfile", held, f"{with_it}: it decodes to wrong samples")
    return FlacDecoder("tensorflow-io", held, f"{with_it}: its native library loads")


def _flac(samples: npt.NDArray[np.int16]) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 8_000, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
