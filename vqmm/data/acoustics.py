"""What lies between a mouth and a file: microphone, room, telephone, noise.

All are done on the spectrum of the whole clip, so that one transform each way
serves them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vqmm.config import AudioAugment
from vqmm.data.draws import Stream, between

PARAMETERS, ROOM, NOISE = 10, 11, 12  # streams of an item's random numbers
FILTER_SECONDS = 0.05
IMPULSE_SECONDS = 0.6  # longest reverberation
SHORTEST_ROOM_SECONDS = 0.1  # RT60: until the echo is 60 dB down
DIRECT_TO_ECHO_DB = (-3.0, 12.0)
KNOTS = 96  # of frequency responses, evenly spaced in mel
BUMPS = 10  # of the ripple
SILENCED_DB = -60.0
BAND_EDGE = 0.02  # of the mel axis; sharper would ring
NOISE_DB_PER_OCTAVE = (-7.0, 1.0)  # brown is -6, pink -3, white 0
NOISE_RIPPLE_DB = 6.0
HUM_SHARE = 0.3  # of the noises have a mains hum
MOST_LOUDER = 4.0  # a filter that removes nearly all is not made good beyond this


class _Draw(NamedTuple):
    """Numbers in 0..1, one a clip f32[B]: each term has its own, whether others are on or off."""

    tilt: Any
    band_width: Any
    band_place: Any
    telephone: Any
    telephone_low: Any
    telephone_high: Any
    room: Any
    room_seconds: Any
    room_level: Any
    noise: Any
    noise_level: Any
    noise_slope: Any
    noise_on_line: Any
    hum: Any
    hum_level: Any
    mains: Any


def colour_streams(spec: AudioAugment, sample_rate: int, samples: int, length: int) -> list[Stream]:
    """The random numbers that `colour` needs."""
    streams = [Stream(PARAMETERS, [len(_Draw._fields) + 2 * BUMPS])]
    if spec.reverb:
        streams.append(Stream(ROOM, [_room_samples(sample_rate, samples) - 1]))
    if spec.noise:
        streams.append(Stream(NOISE, [2, length // 2 + 1]))
    return streams


def colour(audio: Any, numbers: Mapping[int, Any], spec: AudioAugment, sample_rate: int, length: int) -> Any:
    """Filters clips and adds noise, as `spec` says.

    A clip keeps its energy through filters and room, so that the level is left to
    the gain and the noise's level follows from the clip's own.

    Args:
        audio: f32[B, samples].
        numbers: of `colour_streams`.
        spec: strengths.
        sample_rate: Hz.
        length: of the transform, samples or more.

    Returns:
        f32[B, samples].
    """
    samples = audio.shape[1]
    axis = _Axis.of(length, sample_rate)
    fields = len(_Draw._fields)
    unit = numbers[PARAMETERS]
    draw = _Draw(*tf.unstack(unit[:, :fields], axis=1))
    ripple, noise_ripple = tf.split(between(unit[:, fields:], -1, 1), 2, axis=1)

    telephone = _telephone(draw, spec, axis)
    response = telephone + _band_mask(draw, spec, axis)
    response += spec.tilt_db * between(draw.tilt, -1, 1)[:, None] * axis.slope
    response += spec.tilt_db / 2 * _mixed(ripple, axis.bumps)
    dry = tf.signal.rfft(audio, [length])
    wet = dry * tf.cast(_amplitude(response, axis), tf.complex64)
    if spec.reverb:
        wet *= tf.signal.rfft(_room(numbers[ROOM], draw, spec, sample_rate), [length])
    scale = tf.sqrt(_energy(dry, length) / (_energy(wet, length) + 1e-12))
    wet *= tf.cast(tf.minimum(scale, MOST_LOUDER), tf.complex64)
    if spec.noise:
        octaves = between(draw.noise_slope, *NOISE_DB_PER_OCTAVE)[:, None] * axis.octaves
        shape = octaves + NOISE_RIPPLE_DB * _mixed(noise_ripple, axis.bumps)
        shape += tf.where(draw.noise_on_line[:, None] < 0.5, telephone, 0.0)
        wet += _noise(numbers[NOISE], draw, spec, axis, shape, _active_power(audio, sample_rate))
    return tf.signal.irfft(wet, [length])[:, :samples]


class _Axis(NamedTuple):
    """Constants of the frequency axis; k knots, n bins.

    Attributes:
        length: of the transform.
        hertz: f32[k] of the knots.
        mel: f32[k] the knots' share of the mel axis, 0..1.
        slope: f32[k] -1 (60 Hz and below) to 1 (the top), linear in octaves.
        octaves: f32[k] above 60 Hz.
        bumps: f32[BUMPS, k] overlapping bumps that add up to 1.
        bins: f32[n], where the bins lie among the knots, from 0 to k - 1.
        hum: f32[2, n] power of 50 and 60 Hz mains hum, sum 1.
    """

    length: int
    hertz: npt.NDArray[np.float32]
    mel: npt.NDArray[np.float32]
    slope: npt.NDArray[np.float32]
    octaves: npt.NDArray[np.float32]
    bumps: npt.NDArray[np.float32]
    bins: npt.NDArray[np.float32]
    hum: npt.NDArray[np.float32]

    @classmethod
    def of(cls, length: int, sample_rate: int) -> _Axis:
        import librosa

        bins = np.fft.rfftfreq(length, 1 / sample_rate).astype(np.float64)
        top = librosa.hz_to_mel(sample_rate / 2, htk=True)
        mel = np.linspace(0, 1, KNOTS)
        hertz = librosa.mel_to_hz(mel * top, htk=True)
        octaves = np.log2(np.maximum(hertz, 60) / 60)
        place = (BUMPS - 1) * mel - np.arange(BUMPS)[:, None]
        bumps = np.where(np.abs(place) < 1, 0.5 + 0.5 * np.cos(np.pi * place), 0)
        knot = librosa.hz_to_mel(bins, htk=True) / top * (KNOTS - 1)
        hum = np.stack([_hum(bins, mains) for mains in (50, 60)])
        rest = (hertz, mel, 2 * octaves / octaves.max() - 1, octaves, bumps, knot, hum)
        return cls(length, *(array.astype(np.float32) for array in rest))


def _hum(bins: npt.NDArray[np.float64], mains: float) -> npt.NDArray[np.float64]:
    """Power of a dozen weakening harmonics, sum 1."""
    harmonic = np.clip(np.round(bins / mains), 1, 12)
    power = 0.5**harmonic * np.exp(-np.square(bins - harmonic * mains))
    return power / power.sum()


def _telephone(draw: _Draw, spec: AudioAugment, axis: _Axis) -> Any:
    """Response of a telephone line in dB, f32[B, k]; 0 for clips that went through none."""
    if not spec.telephone:
        return 0.0
    low = between(draw.telephone_low, 200, 400)[:, None]
    high = between(draw.telephone_high, 2800, 3800)[:, None]
    octave = np.log2(np.maximum(axis.hertz, 1)).astype(np.float32)
    below = tf.clip_by_value(tf.math.log(low) / float(np.log(2)) - octave, 0.0, 1.0)
    above = tf.clip_by_value(4 * (octave - tf.math.log(high) / float(np.log(2))), 0.0, 1.0)
    return tf.where(draw.telephone[:, None] < spec.telephone, SILENCED_DB * (below + above), 0.0)


def _band_mask(draw: _Draw, spec: AudioAugment, axis: _Axis) -> Any:
    """Response in dB with one silenced band, f32[B, k]."""
    if not spec.band_mask:
        return 0.0
    width = (draw.band_width * spec.band_mask)[:, None]
    middle = width / 2 + draw.band_place[:, None] * (1 - width)
    inside = width / 2 - tf.abs(axis.mel - middle)
    return SILENCED_DB * tf.clip_by_value(inside / BAND_EDGE, 0.0, 1.0)


def _room_samples(sample_rate: int, samples: int) -> int:
    return min(int(IMPULSE_SECONDS * sample_rate), samples)


def _room(unit: Any, draw: _Draw, spec: AudioAugment, sample_rate: int) -> Any:
    """Impulse responses: the direct sound, then fading noise; f32[B, m]."""
    seconds = np.arange(1, unit.shape[1] + 1, dtype=np.float32) / sample_rate
    lasts = between(draw.room_seconds, SHORTEST_ROOM_SECONDS, IMPULSE_SECONDS)[:, None]
    echo = between(unit, -1, 1)
    echo *= tf.exp(-float(3 * np.log(10)) * seconds / lasts)
    level = 10 ** (-between(draw.room_level, *DIRECT_TO_ECHO_DB) / 20)
    level = tf.where(draw.room < spec.reverb, level, 0.0)[:, None]
    return tf.concat([tf.ones_like(level), echo * level * tf.math.rsqrt(_sum_squares(echo))], 1)


def _noise(unit: Any, draw: _Draw, spec: AudioAugment, axis: _Axis, shape_db: Any, signal: Any) -> Any:
    """Spectra of noise as far below power `signal` f32[B, 1] as drawn, c64[B, n]."""
    power = tf.square(_amplitude(shape_db, axis))
    power /= tf.reduce_sum(power, axis=1, keepdims=True)
    hum = tf.where(draw.hum < HUM_SHARE, draw.hum_level, 0.0)[:, None]
    mains = tf.gather(axis.hum, tf.cast(draw.mains < 0.5, tf.int32))
    amplitude = tf.sqrt(power * (1 - hum) + mains * hum)
    # Uniform numbers will do: many of them add up to Gaussian samples.
    parts = between(unit, -1, 1) * amplitude[:, None]
    spectrum = tf.complex(parts[:, 0], parts[:, 1])
    wanted = signal * 10 ** (-between(draw.noise_level, *spec.noise_snr_db)[:, None] / 10)
    wanted = tf.where(draw.noise[:, None] < spec.noise, wanted, 0.0)
    scale = tf.sqrt(wanted * axis.length / (_energy(spectrum, axis.length) + 1e-12))
    return spectrum * tf.cast(scale, tf.complex64)


def _active_power(audio: Any, sample_rate: int) -> Any:
    """Mean square over the frames of 20 ms within 30 dB of the loudest, f32[B, 1]."""
    frame = min(max(sample_rate // 50, 1), audio.shape[1])
    count = audio.shape[1] // frame
    framed = tf.reshape(tf.square(audio[:, : count * frame]), [-1, count, frame])
    power = tf.reduce_mean(framed, axis=2)
    active = tf.cast(power >= 1e-3 * tf.reduce_max(power, axis=1, keepdims=True), tf.float32)
    return tf.reduce_sum(power * active, axis=1, keepdims=True) / tf.reduce_sum(active, axis=1, keepdims=True)


def _amplitude(decibels: Any, axis: _Axis) -> Any:
    """Responses at the knots in dB to amplitudes at the bins."""
    return tf.exp(interpolated(decibels * float(np.log(10) / 20), axis.bins))


def interpolated(knots: Any, place: npt.NDArray[np.floating[Any]]) -> Any:
    """Reads each row of f32[B, k] linearly at places 0 to k - 1, f32[B, n].

    A product with a matrix of weights would do as well, but how it rounds depends on the number of rows,
    and a clip must not depend on what else is in its batch.
    """
    left = np.clip(np.floor(place), 0, knots.shape[1] - 2).astype(np.int32)
    share = np.clip(place - left, 0, 1).astype(np.float32)
    rows = tf.transpose(knots)  # whole rows are read far faster than a number of each
    low, high = (tf.gather(rows, left + step) for step in (0, 1))
    return tf.transpose(low + share[:, None] * (high - low))


def _mixed(weights: Any, rows: npt.NDArray[np.float32]) -> Any:
    """Sums of rows f32[m, k] by weights f32[B, m], as `interpolated` independent of the batch."""
    return tf.reduce_sum(weights[:, :, None] * rows, axis=1)


def _energy(spectrum: Any, length: int) -> Any:
    """Sum of squares of the samples behind a spectrum (Parseval; length even), f32[B, 1]."""
    power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
    total = 2 * tf.reduce_sum(power, axis=1, keepdims=True) - power[:, :1] - power[:, -1:]
    return total / length


def _sum_squares(values: Any) -> Any:
    return tf.reduce_sum(tf.square(values), axis=1, keepdims=True)
