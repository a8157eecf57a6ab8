"""Random distortion of pictures: another hand, pen, framing and scanner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from vqmm.config import ImageAugment
from vqmm.data.draws import Stream, between, drawn

PARAMETERS, ELASTIC, NOISE = 20, 21, 22  # streams of an item's random numbers
ELASTIC_KNOTS = 5  # either way
STEEPEST = 16.0  # of the contrast curve


class _Draw(NamedTuple):
    """Numbers in 0..1, one a picture f32[B]: each term has its own, whether others are on or off."""

    rotate: Any
    scale_x: Any
    scale_y: Any
    shear: Any
    shift_x: Any
    shift_y: Any
    flip: Any
    thickness: Any
    steepness: Any
    threshold: Any
    blur: Any
    blur_level: Any
    gamma: Any
    noise: Any


def augment_image(image: Any, seeds: Any, spec: ImageAugment) -> Any:
    """Distorts each picture by itself, in the graph.

    In this order: place (flip, rotation, scale, shear, shift, local displacement;
    the border goes on outwards), stroke (thicker or thinner, then a steeper
    contrast, as a pen or a threshold would make it), blur, gamma, noise. All
    randomness follows from `seeds` by stateless draws.

    Args:
        image: f32[B, H, W, C], 0..1; H, W, C known when the graph is built.
        seeds: i32[B, 2]. A picture's result follows from its pixels and its seed alone.
        spec: strengths; with all at 0 the pictures come back as they are.

    Returns:
        f32[B, H, W, C], 0..1.
    """
    numbers = drawn(seeds, _streams(image.shape[1:], spec))
    draw = _Draw(*(u[:, None, None, None] for u in tf.unstack(numbers[PARAMETERS], axis=1)))
    if spec.rotate or spec.scale or spec.shear or spec.shift or spec.elastic or spec.flip:
        knots = numbers.get(ELASTIC)
        image = _bilinear(image, _positions(image.shape[1], image.shape[2], draw, knots, spec))
    if spec.stroke:
        image = _stroke(image, draw, spec.stroke)
    if spec.blur:
        level = tf.where(draw.blur < spec.blur, draw.blur_level, 0.0)
        image += level * (_blurred(image) - image)
    if spec.gamma:
        image = tf.clip_by_value(image, 0.0, 1.0) ** 2 ** (spec.gamma * between(draw.gamma, -1, 1))
    if spec.noise:
        image += spec.noise * draw.noise * numbers[NOISE]
    return tf.clip_by_value(image, 0.0, 1.0)


def _streams(shape: Sequence[int], spec: ImageAugment) -> list[Stream]:
    """The random numbers that a picture f32[H, W, C] needs."""
    streams = [Stream(PARAMETERS, [len(_Draw._fields)])]
    if spec.elastic:
        streams.append(Stream(ELASTIC, [ELASTIC_KNOTS, ELASTIC_KNOTS, 2], normal=True))
    if spec.noise:
        streams.append(Stream(NOISE, shape, normal=True))
    return streams


def _positions(height: int, width: int, draw: _Draw, knots: Any, spec: ImageAugment) -> Any:
    """Where each pixel of the result comes from, f32[B, H, W, 2] (row, column)."""
    sides = np.array([height, width], np.float32)
    y = np.arange(height, dtype=np.float32)[None, :, None, None] - (height - 1) / 2
    x = np.arange(width, dtype=np.float32)[None, None, :, None] - (width - 1) / 2
    angle = between(draw.rotate, -1, 1) * float(np.deg2rad(spec.rotate))
    y, x = tf.cos(angle) * y - tf.sin(angle) * x, tf.sin(angle) * y + tf.cos(angle) * x
    x += between(draw.shear, -1, 1) * spec.shear * y
    grow = float(np.log1p(spec.scale))
    y *= tf.exp(between(draw.scale_y, -1, 1) * grow)
    x *= tf.exp(between(draw.scale_x, -1, 1) * grow)
    if spec.flip:
        x = tf.where(draw.flip < 0.5, -x, x)
    shift = tf.concat([draw.shift_y, draw.shift_x], -1)
    position = tf.concat([y, x], -1) + (sides - 1) / 2 + between(shift, -1, 1) * spec.shift * sides
    if spec.elastic:
        knots = tf.clip_by_value(knots, -2.0, 2.0)
        position += spec.elastic / 2 * sides * tf.image.resize(knots, (height, width), "bicubic")
    return position


def _bilinear(image: Any, position: Any) -> Any:
    """Reads pictures between their pixels; beyond the border, the border's."""
    height, width, channels = image.shape[1:]
    flat = tf.reshape(image, [-1, channels])
    y = tf.clip_by_value(position[..., 0], 0.0, height - 1.0)
    x = tf.clip_by_value(position[..., 1], 0.0, width - 1.0)
    top, left = tf.floor(y), tf.floor(x)
    down, right = (y - top)[..., None], (x - left)[..., None]
    rows = tf.cast(top, tf.int32), tf.minimum(tf.cast(top, tf.int32) + 1, height - 1)
    columns = tf.cast(left, tf.int32), tf.minimum(tf.cast(left, tf.int32) + 1, width - 1)
    first = tf.range(tf.shape(image)[0])[:, None, None] * (height * width)
    (a, b), (c, d) = ([tf.gather(flat, first + row * width + column) for column in columns] for row in rows)
    upper, lower = a + right * (b - a), c + right * (d - c)
    return upper + down * (lower - upper)


def _stroke(image: Any, draw: _Draw, strength: float) -> Any:
    more, less = _grown(image, tf.maximum), _grown(image, tf.minimum)
    amount = strength * between(draw.thickness, -1, 1)
    moved = image + tf.abs(amount) * (tf.where(amount > 0, more, less) - image)
    image = _span(image).restore(moved)  # a thin stroke must not fade away
    # A sigmoid around a random threshold, through (0, 0) and (1, 1); nearly straight where not steep.
    steep = 0.5 + draw.steepness * strength * (STEEPEST - 0.5)
    threshold = between(draw.threshold, 0.3, 0.7)
    low, high = tf.sigmoid(-steep * threshold), tf.sigmoid(steep * (1 - threshold))
    return (tf.sigmoid(steep * (image - threshold)) - low) / (high - low)


class _Span(NamedTuple):
    """Darkest and lightest value of each picture, f32[B, 1, 1, 1]."""

    low: Any
    high: Any

    def restore(self, image: Any) -> Any:
        low, high = _span(image)
        stretch = tf.minimum((self.high - self.low) / (high - low + 1e-6), 4.0)
        return self.low + stretch * (image - low)


def _span(image: Any) -> _Span:
    axes = (1, 2, 3)
    return _Span(tf.reduce_min(image, axes, keepdims=True), tf.reduce_max(image, axes, keepdims=True))


def _grown(image: Any, extreme: Callable[[Any, Any], Any]) -> Any:
    """The largest or smallest of 3 x 3 pixels.

    Rows, then columns, of shifted pictures, as `_blurred`: pooling and convolving one channel is slower.
    """
    for axis in (1, 2):
        before, here, after = _neighbours(image, axis, 1)
        image = extreme(extreme(before, here), after)
    return image


def _blurred(image: Any) -> Any:
    """Binomial 5 x 5 smoothing, the border going on outwards."""
    for axis in (1, 2):
        far, before, here, after, beyond = _neighbours(image, axis, 2)
        image = ((far + beyond) + 4.0 * (before + after) + 6.0 * here) / 16.0
    return image


def _neighbours(image: Any, axis: int, reach: int) -> list[Any]:
    """The picture shifted by -reach to reach pixels, the border going on outwards."""
    edge = [[0, 0], [0, 0], [0, 0], [0, 0]]
    edge[axis] = [1, 1]
    padded = image
    for _ in range(reach):
        padded = tf.pad(padded, edge, "SYMMETRIC")
    size = image.shape[axis]
    shifted = (slice(start, start + size) for start in range(2 * reach + 1))
    return [padded[:, part] if axis == 1 else padded[:, :, part] for part in shifted]
