"""Decodes WAV files inside a graph, with operations that TensorFlow Serving has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from vqmm.data.riff import UNKNOWN_LENGTH

WAV_FORMS = "WAV files (RIFF) of PCM with 8, 16, 24 or 32 bits or of floats with 32 or 64 bits"
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
KINDS = ((PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64))
_MARGIN = 64  # bytes of zeros after the file, so that no header ends outside
_NAMES = {
    b"RF64": "RF64",
    b"RIFX": "RIFX, a big-endian WAV file",
    b"FORM": "AIFF",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
}


class Wav(NamedTuple):
    """A WAV file whose header was read.

    Attributes:
        data: str scalar, its sound alone, whole samples.
        kind: i32 scalar, place in `KINDS`.
        rate: i32 scalar, Hz.
        channels: i32 scalar.
        frames: i32 scalar, samples of each channel.
    """

    data: Any
    kind: Any
    rate: Any
    channels: Any
    frames: Any


def refuse_unless(condition: Any, *said: Any) -> Any:
    """An operation that raises InvalidArgumentError with `said` where `condition` is false."""
    return tf.debugging.Assert(condition, list(said), summarize=8)


def read_wav_header(data: Any) -> Wav:
    """Finds the sound of a WAV file.

    What `vqmm.data.riff` finds: chunks of odd size, EXTENSIBLE headers and sound of unstated length
    (data size 0 with sound after it, or one beyond 2 GiB and the file's end) are read.

    Args:
        data: str scalar, the file.

    Returns:
        Its sound, undecoded. In the graph it raises InvalidArgumentError, which names the form, for
        other files than `WAV_FORMS`, for files cut short, and for several that were joined.
    """
    size = tf.cast(tf.strings.length(data), tf.int64)
    padded = tf.strings.join([data, tf.constant(bytes(_MARGIN))])

    def text(place: Any, count: int = 4) -> Any:
        return tf.strings.substr(padded, place, tf.constant(count, tf.int64))

    def number(place: Any, count: int) -> Any:
        digits = tf.cast(tf.io.decode_raw(text(place, count), tf.uint8), tf.int64)
        return tf.reduce_sum(digits * tf.constant([256**n for n in range(count)], tf.int64))

    zero = tf.constant(0, tf.int64)
    is_wav = (size >= 12) & (text(zero) == b"RIFF") & (text(zero + 8) == b"WAVE")
    checks = [refuse_unless(is_wav, "the recording is", _form(text(zero)), f"; this takes {WAV_FORMS}")]
    with tf.control_dependencies(checks):
        first = tf.constant(12, tf.int64)

    def step(place: Any, form: Any, sound: Any) -> tuple[Any, Any, Any]:
        name, length = text(place), number(place + 4, 4)
        form = tf.where(name == b"fmt ", place + 8, form)
        sound = tf.where(name == b"data", place + 8, sound)
        return place + 8 + length + length % 2, form, sound

    _, form, sound = tf.while_loop(
        lambda place, form, sound: (sound == 0) & (place + 8 <= size), step, (first, zero, zero)
    )
    found = refuse_unless((sound > 0) & (form > 0), "the recording has no chunk 'fmt ' or 'data'")
    with tf.control_dependencies([found]):
        code = number(form, 2)
    code = tf.where(code == EXTENSIBLE, number(form + 24, 2), code)
    channels, rate = number(form + 2, 2), number(form + 4, 4)
    block, bits = number(form + 12, 2), number(form + 14, 2)
    same = (code == [kind[0] for kind in KINDS]) & (bits == [kind[1] for kind in KINDS])
    known = tf.reduce_any(same) & (channels > 0) & (block * 8 == channels * bits)
    checks = [
        refuse_unless(
            known, "the recording is WAV of format", code, "with", bits, f"bits; this takes {WAV_FORMS}"
        )
    ]
    stated, there = number(sound - 4, 4), size - sound
    unstated = (stated >= UNKNOWN_LENGTH) & (stated > there)
    unstated |= (stated == 0) & (there > 0) & ~_chunks_follow(sound, size, text, number)
    used = tf.where(unstated, there, stated)
    checks.append(refuse_unless(used <= there, "the recording is truncated:", there, "of", stated, "bytes"))
    after = tf.minimum(sound + used + used % 2, size)
    joined = (text(after) == b"RIFF") & (text(tf.minimum(after + 8, size)) == b"WAVE")
    checks.append(refuse_unless(~joined, "the recording is several WAV files in one; send them one by one"))
    with tf.control_dependencies(checks):
        frames = used // tf.maximum(block, 1)
    return Wav(
        data=tf.strings.substr(data, sound, frames * block),
        kind=tf.argmax(same, output_type=tf.int32),
        rate=tf.cast(tf.minimum(rate, tf.int32.max), tf.int32),
        channels=tf.cast(channels, tf.int32),
        frames=tf.cast(frames, tf.int32),
    )


def decode_wav(wav: Wav) -> Any:
    """The samples of a WAV file, f32[frames, channels], full scale at 1, as libsndfile gives them."""

    def pcm(dtype: Any, scale: float) -> Callable[[], Any]:
        return lambda: tf.cast(tf.io.decode_raw(wav.data, dtype), tf.float32) * scale

    def unsigned() -> Any:
        return (tf.cast(tf.io.decode_raw(wav.data, tf.uint8), tf.float32) - 128.0) / 128.0

    def three_bytes() -> Any:
        digits = tf.reshape(tf.cast(tf.io.decode_raw(wav.data, tf.uint8), tf.int32), (-1, 3))
        value = tf.reduce_sum(digits * [1, 256, 65536], axis=1)
        return tf.cast(tf.where(value >= 1 << 23, value - (1 << 24), value), tf.float32) * 2.0**-23

    readers = {
        (PCM, 8): unsigned,
        (PCM, 16): pcm(tf.int16, 2.0**-15),
        (PCM, 24): three_bytes,
        (PCM, 32): pcm(tf.int32, 2.0**-31),
        (FLOAT, 32): pcm(tf.float32, 1.0),
        (FLOAT, 64): pcm(tf.float64, 1.0),
    }
    samples = tf.switch_case(wav.kind, [readers[kind] for kind in KINDS])
    return tf.reshape(samples, tf.stack([wav.frames, wav.channels]))


def _form(magic: Any) -> Any:
    name = tf.constant("of no known form")
    for begin, form in _NAMES.items():
        name = tf.where(tf.strings.substr(magic, 0, len(begin)) == begin, form, name)
    bits = tf.cast(tf.io.decode_raw(tf.strings.substr(magic, 0, 2), tf.uint8), tf.int32)
    return tf.where((bits[0] == 0xFF) & (bits[1] >= 0xE0), "MP3", name)


def _chunks_follow(place: Any, size: Any, text: Callable[..., Any], number: Callable[..., Any]) -> Any:
    """`vqmm.data.riff.chunks_follow` in a graph."""

    def step(place: Any, good: Any) -> tuple[Any, Any]:
        letters = tf.io.decode_raw(text(place), tf.uint8)
        named = tf.reduce_all((letters >= 32) & (letters < 127)) & (text(place) != b"RIFF")
        length = number(place + 4, 4)
        return place + 8 + length + length % 2, good & named

    end, good = tf.while_loop(
        lambda place, good: good & (place + 8 <= size), step, (place, tf.constant(True))
    )
    return good & ((end == size) | (end == size + 1))
