"""Random distortion of recordings: another speaker, microphone, room and line."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from vqmm.config import AudioAugment
from vqmm.data.acoustics import FILTER_SECONDS, IMPULSE_SECONDS, colour, colour_streams, interpolated
from vqmm.data.draws import Stream, between, drawn

PARAMETERS, WARP = 0, 1  # streams of an item's random numbers; `acoustics` has the others
WARP_STRETCHES = 8
MASK_EDGE_SECONDS = 0.005
OVERHANG_SECONDS = 0.25  # most that a trimmed recording keeps before or after the sound
HIGHEST_PEAK = 1.4  # before it is cut off at 1: a recording may be overdriven by 3 dB, no more


class _Draw(NamedTuple):
    """Numbers in 0..1, one a clip f32[B]: each term has its own, whether others are on or off."""

    shift: Any
    speed: Any
    mask_length: Any
    mask_place: Any
    gain: Any
    trimmed: Any
    before: Any
    after: Any


def augment_audio(audio: Any, seeds: Any, spec: AudioAugment, sample_rate: int) -> Any:
    """Distorts each clip by itself, in the graph.

    In this order: time (shift, speed with pitch and formants, local warp), a
    silenced stretch, microphone (tilt and ripple of the spectrum, a silenced
    band), room, telephone band, noise, an end to room and noise about where the
    recording ends (preparation cuts silence off, so that the model hears a noisy
    place only as long as the recording lasts), gain. All randomness follows from
    `seeds` by stateless draws, so that a resumed run sees the same clips. This is why the
    masks of SpecAugment (Park et al. 2019) are made here, in the waveform: those of
    tensorflow-io draw from TensorFlow's global generator, whose state no checkpoint
    holds.

    Args:
        audio: f32[B, samples], -1..1; samples known when the graph is built.
        seeds: i32[B, 2]. A clip's result follows from its samples and its seed alone.
        spec: strengths; with all at 0 the clips come back as they are.
        sample_rate: Hz.

    Returns:
        f32[B, samples], -1..1.
    """
    import scipy.fft

    samples = audio.shape[1]
    coloured = spec.tilt_db or spec.band_mask or spec.reverb or spec.telephone or spec.noise
    # Room for what filters smear past the end, which would else wrap around to the start.
    tail = int(sample_rate * (IMPULSE_SECONDS if spec.reverb else FILTER_SECONDS))
    length = scipy.fft.next_fast_len(samples + tail, real=True)
    length += length % 2
    streams = [Stream(PARAMETERS, [len(_Draw._fields)]), Stream(WARP, [WARP_STRETCHES])]
    streams += colour_streams(spec, sample_rate, samples, length) if coloured else []
    numbers = drawn(seeds, streams)
    draw = _Draw(*tf.unstack(numbers[PARAMETERS], axis=1))
    if spec.shift or spec.speed or spec.warp:
        audio = _cubic(audio, _positions(samples, numbers[WARP], draw, spec, sample_rate))
    extent = _extent(audio) if spec.trimmed else None
    if spec.time_mask:
        audio *= _time_mask(samples, draw, spec, sample_rate)
    if coloured:
        audio = colour(audio, numbers, spec, sample_rate, length)
    if extent is not None:
        audio *= _gate(samples, extent, draw, spec, sample_rate)
    gain = tf.exp(between(draw.gain, -1, 1) * float(spec.gain_db * np.log(10) / 20))[:, None]
    peak = tf.reduce_max(tf.abs(audio), axis=1, keepdims=True)
    audio *= tf.minimum(gain, HIGHEST_PEAK / (peak + 1e-9))
    return tf.clip_by_value(audio, -1.0, 1.0)


def _positions(samples: int, unit: Any, draw: _Draw, spec: AudioAugment, sample_rate: int) -> Any:
    """Where in the clip each sample of the result comes from, f32[B, samples]."""
    rates = tf.exp(
        between(draw.speed, -1, 1)[:, None] * float(np.log1p(spec.speed))
        + between(unit, -1, 1) * float(np.log1p(spec.warp))
    )
    # Rates hold for a stretch each; the middle of the clip stays where it is but for the shift.
    ends = tf.pad(tf.cumsum(rates, axis=1), [[0, 0], [1, 0]]) * (samples / WARP_STRETCHES)
    half = WARP_STRETCHES // 2
    shift = tf.round(between(draw.shift, -1, 1) * float(spec.shift * sample_rate))[:, None]
    ends += samples / 2 - ends[:, half : half + 1] - shift
    place = np.arange(samples) * WARP_STRETCHES / samples
    return interpolated(ends, place)


def _cubic(audio: Any, position: Any) -> Any:
    """Reads clips f32[B, n] between their samples (Catmull-Rom), zeros outside."""
    samples = audio.shape[1]
    position = tf.clip_by_value(position, -2.0, samples + 1.0)
    whole = tf.floor(position)
    t = position - whole
    padded = tf.pad(audio, [[0, 0], [3, 4]])
    first = tf.cast(whole, tf.int32) + 2 + tf.range(tf.shape(audio)[0])[:, None] * (samples + 7)
    a, b, c, d = (tf.gather(tf.reshape(padded, [-1]), first + tap) for tap in range(4))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


class _Extent(NamedTuple):
    """First and last sample of each clip that is not 0, i32[B, 1]."""

    first: Any
    last: Any


def _extent(audio: Any) -> _Extent:
    sound = tf.cast(audio != 0.0, tf.int32)
    last = audio.shape[1] - 1 - tf.argmax(sound[:, ::-1], axis=1, output_type=tf.int32)
    return _Extent(tf.argmax(sound, axis=1, output_type=tf.int32)[:, None], last[:, None])


def _gate(samples: int, extent: _Extent, draw: _Draw, spec: AudioAugment, sample_rate: int) -> Any:
    """Gains f32[B, samples], 0 away from the recording with soft edges, or 1 throughout."""
    place = np.arange(samples, dtype=np.float32)
    # Squared: a short overhang is likelier than a long one.
    before, after = (
        tf.square(unit[:, None]) * OVERHANG_SECONDS * sample_rate for unit in (draw.before, draw.after)
    )
    outside = tf.maximum(
        tf.cast(extent.first, tf.float32) - before - place, place - tf.cast(extent.last, tf.float32) - after
    )
    gate = tf.clip_by_value(1.0 - outside / (MASK_EDGE_SECONDS * sample_rate), 0.0, 1.0)
    return tf.where(draw.trimmed[:, None] < spec.trimmed, gate, 1.0)


def _time_mask(samples: int, draw: _Draw, spec: AudioAugment, sample_rate: int) -> Any:
    """Gains f32[B, samples], 0 in one stretch with soft edges."""
    seconds = np.arange(samples, dtype=np.float32) / sample_rate
    length = (draw.mask_length * spec.time_mask)[:, None]
    middle = length / 2 + draw.mask_place[:, None] * tf.maximum(samples / sample_rate - length, 0.0)
    return tf.clip_by_value((tf.abs(seconds - middle) - length / 2) / MASK_EDGE_SECONDS, 0.0, 1.0)
