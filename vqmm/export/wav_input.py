"""WAV files into the model's window, inside a graph, with operations that TensorFlow Serving has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from vqmm.config import AudioSpec
from vqmm.data.read_audio import SHORTEST_SECONDS, SILENT
from vqmm.data.windows import cut, loudest_start, window_start
from vqmm.export.graph_sound import mix, resample, trim
from vqmm.export.graph_wav import decode_wav, read_wav_header, refuse_unless

RATES = (1_000, 192_000)  # Hz


def wav_reader(spec: AudioSpec) -> Callable[[Any], Any]:
    """Makes the function from WAV files to windows.

    What `vqmm.data.read_audio.read_recording` does: channels are averaged, or the loudest is taken where
    they cancel, a constant offset is removed, the rate becomes `spec.sample_rate`, quiet is cut from
    both ends as `spec.trim_db` says. Then, as in evaluation, the loudest window of `spec.samples`, or
    the whole recording amid zeros. Resampling is by the Fourier transform.

    Args:
        spec: of the config.

    Returns:
        Function from str[B] (see `vqmm.export.graph_wav.WAV_FORMS`) to f32[B, spec.samples]. In the
        graph it raises InvalidArgumentError for what is no such file, has no samples or not all that
        it states, NaN or infinite ones, is silent, is shorter than 0.01 s, lasts longer than
        `spec.max_seconds`, or states a rate outside `RATES`.
    """

    def read_one(data: Any) -> Any:
        wav = read_wav_header(data)
        rate = wav.rate
        seconds = tf.cast(wav.frames, tf.float32) / tf.cast(tf.maximum(rate, 1), tf.float32)
        checks = [
            refuse_unless(
                (rate >= RATES[0]) & (rate <= RATES[1]),
                "the recording states a rate of",
                rate,
                f"Hz; {RATES[0]} to {RATES[1]} Hz can be read",
            ),
            refuse_unless(wav.frames > 0, "the recording holds no samples"),
            refuse_unless(
                seconds <= spec.max_seconds,
                "the recording lasts",
                seconds,
                f"s; {spec.max_seconds} is the most",
            ),
        ]
        with tf.control_dependencies(checks):
            mono = mix(decode_wav(wav))
        finite = refuse_unless(
            tf.reduce_all(tf.math.is_finite(mono)), "the recording holds NaN or infinite samples"
        )
        with tf.control_dependencies([finite]):
            mono = mono - tf.reduce_mean(mono)
        loud = refuse_unless(tf.reduce_max(tf.abs(mono)) >= SILENT, "the recording is silent")
        with tf.control_dependencies([loud]):
            audio = resample(mono, rate, spec.sample_rate)
        least = SHORTEST_SECONDS * spec.sample_rate
        enough = refuse_unless(
            tf.cast(tf.size(audio), tf.float32) >= least,
            "the recording lasts",
            seconds,
            f"s; {SHORTEST_SECONDS} s is the least",
        )
        with tf.control_dependencies([enough]):
            audio = tf.identity(audio)
        audio = trim(audio, spec.sample_rate, float(spec.trim_db))
        audio = audio / tf.maximum(1.0, tf.reduce_max(tf.abs(audio)))
        # Records are stored in 16 bits.
        samples = tf.cast(tf.clip_by_value(tf.round(audio * 32768.0), -32768.0, 32767.0), tf.int16)
        length = tf.size(samples, tf.int64)
        start = window_start(loudest_start(samples, spec.samples), length, spec.samples, tf.constant(0.0))
        return cut(samples, tf.constant(0), length, start, spec.samples)

    return lambda files: tf.map_fn(
        read_one, files, fn_output_signature=tf.TensorSpec((spec.samples,), tf.float32)
    )
