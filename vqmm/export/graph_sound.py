"""Resampling and trimming of one recording inside a graph."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from vqmm.data import mixing
from vqmm.data import trim as rules

PASSBAND = 0.913  # of the lower Nyquist frequency, as soxr's high quality


def resample(audio: Any, rate: Any, target: int) -> Any:
    """Changes the rate of a recording by its Fourier transform.

    The band ends in a ramp from 91 to 100 % of the lower Nyquist frequency. Silence up to
    the next whole second, at least a tenth, keeps the end out of the beginning.

    Args:
        audio: f32[n].
        rate: i32 scalar, Hz.
        target: Hz.

    Returns:
        f32[round(n * target / rate)].
    """

    def changed() -> Any:
        count = tf.size(audio)
        seconds = (count + rate // 10) // rate + 1
        before, after = seconds * rate, seconds * target
        spectrum = tf.signal.rfft(audio, before[None])
        shared = tf.minimum(before, after) // 2 + 1
        ramp = tf.cast(tf.range(shared), tf.float32) / tf.cast(shared, tf.float32)
        ramp = tf.clip_by_value((1.0 - ramp) / (1.0 - PASSBAND), 0.0, 1.0)
        kept = spectrum[:shared] * tf.cast(ramp, tf.complex64)
        kept = tf.pad(kept, [[0, after // 2 + 1 - shared]])
        scale = tf.cast(after, tf.float32) / tf.cast(before, tf.float32)
        length = tf.cast(tf.round(tf.cast(count, tf.float64) * target / tf.cast(rate, tf.float64)), tf.int32)
        return (tf.signal.irfft(kept, after[None]) * scale)[:length]

    return tf.cond(tf.equal(rate, target), lambda: audio, changed)


def mix(audio: Any) -> Any:
    """`vqmm.data.mixing` in a graph: the mean of the channels, or the loudest where they cancel.

    Args:
        audio: f32[n, channels], n at least 1.

    Returns:
        f32[n].
    """
    count, channels = (tf.cast(size, tf.float64) for size in tf.unstack(tf.shape(audio)))
    mean = tf.reduce_mean(audio, axis=1)

    def chosen() -> Any:
        columns = tf.cast(tf.concat([audio, mean[:, None]], axis=1), tf.float64)
        energy = tf.reduce_sum(tf.square(columns), 0) - tf.square(tf.reduce_sum(columns, 0)) / count
        steps = tf.reduce_sum(tf.square(columns[1:] - columns[:-1]), 0)

        def kept(part: Any) -> Any:
            apart = tf.reduce_sum(part[:-1])
            return tf.where(apart > mixing.FAINT * count, channels**2 * part[-1] / apart, 1.0)

        cancels = tf.minimum(kept(energy), kept(steps)) < mixing.CANCELLED
        return tf.cond(cancels, lambda: audio[:, tf.argmax(energy[:-1])], lambda: mean)

    return tf.cond(channels > 1, chosen, lambda: mean)


def trim(audio: Any, sample_rate: int, trim_db: float) -> Any:
    """`vqmm.data.trim.trim_silence` in a graph.

    Args:
        audio: f32[n], n at least 1.
        sample_rate: Hz.
        trim_db: as there; 0 keeps everything.

    Returns:
        f32[m], a slice of `audio`.
    """
    if trim_db <= 0:
        return audio
    hop = max(1, round(rules.HOP_SECONDS * sample_rate))
    frame = max(1, round(rules.FRAME_SECONDS * sample_rate))
    margin = round(rules.MARGIN_SECONDS * sample_rate)
    level = _levels(audio, sample_rate, frame, hop)
    active = tf.cast(level > _threshold(level, trim_db), tf.int32)
    runs = tf.reshape(tf.where(tf.not_equal(tf.pad(active, [[1, 0]]), tf.pad(active, [[0, 1]]))), (-1, 2))
    runs = _without_blips(tf.cast(runs, tf.int32))

    def cut() -> Any:
        begin = tf.maximum(0, tf.reduce_min(runs[:, 0]) * hop - margin)
        return audio[begin : tf.reduce_max(runs[:, 1] - 1) * hop + frame + margin]

    return tf.cond(tf.size(runs) > 0, cut, lambda: audio)


def _levels(audio: Any, sample_rate: int, frame: int, hop: int) -> Any:
    count = tf.size(audio)
    padded = count + sample_rate // 2
    spectrum = tf.signal.rfft(tf.cast(audio, tf.float64), padded[None])
    bins = tf.cast(tf.range(padded // 2 + 1), tf.float64)
    frequency = bins * sample_rate / tf.cast(padded, tf.float64)
    spectrum *= tf.cast(tf.clip_by_value(frequency / rules.RUMBLE_HZ - 0.5, 0.0, 1.0), tf.complex128)
    power = tf.square(tf.signal.irfft(spectrum, padded[None])[:count])
    total = tf.pad(tf.cumsum(power), [[1, 0]])
    begin = tf.range(0, count, hop)
    mean = (tf.gather(total, tf.minimum(begin + frame, count)) - tf.gather(total, begin)) / frame
    width = rules.SMOOTH_FRAMES
    around = tf.pad(mean, [[width - 1 - width // 2, width // 2]])
    smooth = tf.add_n([around[place : place + tf.size(mean)] for place in range(width)]) / width
    return 10.0 * tf.math.log(tf.maximum(smooth, 1e-12)) / tf.math.log(tf.constant(10.0, tf.float64))


def _threshold(level: Any, trim_db: float) -> Any:
    loudest, floor = tf.reduce_max(level), percentile(level, 10.0)
    near = tf.cast(tf.abs(level - floor) < rules.STEADY_DB, tf.float64)
    above = floor + rules.ABOVE_FLOOR_DB
    steady = (tf.reduce_mean(near) >= rules.STEADY_SHARE) & (above < loudest)
    return tf.where(steady, tf.maximum(loudest - trim_db, above), loudest - trim_db)


def _without_blips(runs: Any) -> Any:
    seconds = tf.cast(runs[:, 1] - runs[:, 0], tf.float64) * rules.HOP_SECONDS
    long = tf.boolean_mask(runs, seconds > rules.BLIP_SECONDS)
    gaps = tf.maximum(long[:, 0] - runs[:, 1:], runs[:, :1] - long[:, 1])
    gap = tf.cast(tf.reduce_min(gaps, axis=1), tf.float64) * rules.HOP_SECONDS
    return tf.cond(
        tf.size(long) > 0, lambda: tf.boolean_mask(runs, gap < rules.BLIP_GAP_SECONDS), lambda: runs
    )


def percentile(values: Any, share: float) -> Any:
    """`numpy.percentile` of f[n]: between two values, linearly."""
    ordered = tf.sort(values)
    place = tf.cast(tf.size(values) - 1, values.dtype) * (share / 100.0)
    low = tf.cast(tf.floor(place), tf.int32)
    high = tf.minimum(low + 1, tf.size(values) - 1)
    part = place - tf.floor(place)
    below = tf.gather(ordered, low)
    return below + part * (tf.gather(ordered, high) - below)
