"""Recognises an ICC profile of sRGB inside a graph, which cannot apply any other."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from vqmm.export.graph_bytes import GraphBytes, name_number

MOST_TAGS = 64  # those of sRGB have 9 to 20
CURVE_POINTS = (256, 4_096)  # curves of fewer points are only near sRGB
LEVELS = 1.5 / 255.0  # that a curve may lie off
COLORANT = 0.002  # that a primary may lie off
# Primaries of sRGB as a profile states them, under D50: X, Y, Z.
_PRIMARIES = {
    "rXYZ": (0.43607, 0.22249, 0.01392),
    "gXYZ": (0.38515, 0.71687, 0.09708),
    "bXYZ": (0.14307, 0.06061, 0.71410),
}
_CURVES = ("rTRC", "gTRC", "bTRC")
_PARAMETERS = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def is_srgb_profile(profile: Any) -> Any:
    """Compares primaries and curves of a profile with those of sRGB.

    Args:
        profile: str scalar, ICC profile; anything at all is allowed.

    Returns:
        bool scalar: `vqmm.data.read_image` leaves pixels under this profile as they are,
        since it is that of sRGB, or none at all (without the mark `acsp` of every profile).
        A profile by tables (A2B0) or with curves of few points counts as another.
    """
    file = GraphBytes(profile)
    marked = file.numbers(tf.constant(36, tf.int64), 4) == name_number("acsp")
    space = file.numbers(tf.constant(16, tf.int64), 4)
    count = tf.minimum(file.numbers(tf.constant(128, tf.int64), 4), MOST_TAGS)
    tags = file.values(132 + 12 * tf.range(count), 8)
    weights = tf.constant([2**24, 2**16, 2**8, 1], tf.int64)
    names, starts = tf.reduce_sum(tags[:, :4] * weights, 1), tf.reduce_sum(tags[:, 4:] * weights, 1)
    wanted = tf.constant([name_number(name) for name in (*_PRIMARIES, *_CURVES)], tf.int64)
    # Of a tag that is not there the place is the end of the profile, where all reads as zeros.
    match = tf.concat([names[:, None] == wanted, tf.ones((1, wanted.shape[0]), tf.bool)], 0)
    places = tf.gather(tf.concat([starts, file.length[None]], 0), tf.argmax(tf.cast(match, tf.int32), 0))
    tables = tf.reduce_any(names == name_number("A2B0"))
    matched = (
        (space == name_number("RGB ")) & ~tables & _primaries(file, places[:3]) & _curves(file, places[3:])
    )
    return ~marked | matched


def _fixed(raw: Any) -> Any:
    """Numbers of 16 bits before and after the point."""
    return tf.cast(raw - 2**32 * tf.cast(raw >= 2**31, tf.int64), tf.float64) / 65536.0


def _primaries(file: GraphBytes, places: Any) -> Any:
    found = _fixed(file.numbers(places[:, None] + tf.constant([8, 12, 16], tf.int64), 4))
    off = tf.reduce_max(tf.abs(found - tf.constant(list(_PRIMARIES.values()), tf.float64)))
    return tf.reduce_all(file.numbers(places, 4) == name_number("XYZ ")) & (off <= COLORANT)


def _curves(file: GraphBytes, places: Any) -> Any:
    kinds, points = file.numbers(places, 4), file.numbers(places + 8, 4)
    values = _fixed(file.numbers(places[:, None] + 12 + 4 * tf.range(5, dtype=tf.int64), 4))
    standard = tf.constant(_PARAMETERS, tf.float64)
    near = tf.abs(values - standard) <= COLORANT * tf.maximum(standard, 0.25)
    functions = file.numbers(places + 8, 2)
    parametric = (kinds == name_number("para")) & (functions == 3) & tf.reduce_all(near, 1)
    count = tf.clip_by_value(points[0], *(tf.constant(most, tf.int64) for most in CURVE_POINTS))
    sampled = (kinds == name_number("curv")) & (points == count)
    steps = tf.range(count)
    light = tf.cast(file.numbers(places[:, None] + 12 + 2 * steps, 2), tf.float64) / 65535.0
    encoded = tf.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    even = tf.cast(steps, tf.float64) / tf.cast(count - 1, tf.float64)
    sampled &= tf.reduce_all(tf.abs(encoded - even) <= LEVELS, 1)
    return tf.reduce_all(parametric | sampled)
