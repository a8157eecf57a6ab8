"""Reads the header of a PNG or JPEG file inside a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from vqmm.data import colour as rules
from vqmm.data.orientation import ENTRIES, SHORT, TAG
from vqmm.data.png_chunks import PNG_SIGNATURE
from vqmm.export.graph_bytes import GraphBytes, joined, name_number
from vqmm.export.srgb_profile import is_srgb_profile

MOST_PARTS = 1_024  # chunks or segments that are walked through, and one more for each KiB of the file
MOST_PACKED = 4_096  # bytes of a packed profile that is inflated: those of sRGB have up to 2,700
_CHUNKS = ("iCCP", "gAMA", "cHRM", "sRGB", "eXIf", "tRNS")
_EXIF, _PROFILE = name_number("Exif\0\0"), name_number("ICC_PROF")


class PictureHeader(NamedTuple):
    """Facts of a picture that a graph must know to decode it.

    Attributes:
        orientation: of EXIF, 1 to 8, i32 scalar.
        opaque: whether alpha is to be ignored, bool scalar: of samples of fewer than 8 bits without
            colour key or palette alpha, TensorFlow makes an alpha of 1 to 15 in place of 255.
    """

    orientation: Any
    opaque: Any


class _Marks(NamedTuple):
    """The part of a file that stands before its pixels.

    Attributes:
        exif: where the data of EXIF begins, i64 scalar; -1 without EXIF.
        exif_stop: where it ends.
        profile: ICC profile, str scalar; empty without one.
        foreign: whether the colours are certainly not sRGB, bool scalar.
        whole: whether all parts up to the pixels were walked through, bool scalar.
        opaque: as of `PictureHeader`.
    """

    exif: Any
    exif_stop: Any
    profile: Any
    foreign: Any
    whole: Any
    opaque: Any


def picture_shape(data: Any) -> Any:
    """Rows, columns and channels of colour (1 or more) that a header states, i32[3].

    Args:
        data: str scalar. InvalidArgumentError is raised for what is neither PNG nor JPEG.
    """
    jpeg = tf.io.is_jpeg(data)
    known = jpeg | (tf.strings.substr(data, 0, 8) == PNG_SIGNATURE)
    with tf.control_dependencies([tf.debugging.Assert(known, ["the picture is neither PNG nor JPEG"])]):
        return tf.cond(jpeg, lambda: tf.io.extract_jpeg_shape(data), lambda: _png_shape(data))


def picture_header(data: Any, grey: Any) -> PictureHeader:
    """Reads the parts of a file that stand before its pixels.

    Args:
        data: str scalar, a PNG or JPEG file. InvalidArgumentError is raised for colours that
            are not sRGB (by an ICC profile, gAMA or cHRM), which a graph cannot convert.
        grey: whether its pixels have no colour, bool scalar.
    """
    file = GraphBytes(data)
    marks = tf.cond(
        tf.io.is_jpeg(data), lambda: _jpeg_marks(file, data), lambda: _png_marks(file, data, grey)
    )
    colours = (
        "the picture has a colour profile (ICC) or a gamma or chromaticities (gAMA, cHRM) other than sRGB; "
        "save it as sRGB"
    )
    parts = (
        f"the picture has more than {MOST_PARTS} chunks or segments, and more than one for each KiB; "
        "save it anew"
    )
    checks = [
        tf.debugging.Assert(marks.whole, [parts]),
        tf.debugging.Assert(~marks.foreign & is_srgb_profile(marks.profile), [colours]),
    ]
    with tf.control_dependencies(checks):
        return PictureHeader(_orientation(file, marks), marks.opaque)


def _png_shape(data: Any) -> Any:
    size = tf.io.decode_raw(tf.strings.substr(data, 16, 8), tf.int32, little_endian=False)
    colour = tf.io.decode_raw(tf.strings.substr(data, 25, 1), tf.uint8)
    grey = (colour == 0) | (colour == 4)
    return tf.concat([tf.reverse(size, [0]), tf.where(grey, [1], [3])], 0)


def _walk(file: GraphBytes, start: int, found: Any, step: Callable[[Any, Any], Any]) -> Any:
    """Runs `step(place, found) -> (place, done, found)` from part to part; returns (`whole`, found)."""
    begin = (tf.constant(start, tf.int64), tf.constant(False), found)
    place, done, found = tf.while_loop(
        lambda place, done, found: ~done & (place < file.length),
        lambda place, done, found: step(place, found),
        begin,
        maximum_iterations=tf.cast(MOST_PARTS + file.length // 1_024, tf.int32),
        parallel_iterations=1,
    )
    return done | (place >= file.length), found


def _png_marks(file: GraphBytes, data: Any, grey: Any) -> _Marks:
    names = tf.constant([name_number(name) for name in _CHUNKS], tf.int64)

    def step(place: Any, found: Any) -> Any:
        size, kind = tf.unstack(file.numbers(place + tf.constant([0, 4], tf.int64), 4))
        found = tf.where((names == kind) & (found < 0), place + 8, found)
        return place + 12 + size, kind == name_number("IEND"), found

    whole, found = _walk(file, 8, tf.fill([len(_CHUNKS)], tf.constant(-1, tf.int64)), step)
    profile, gamma, points, srgb, exif, key = tf.unstack(found)
    sizes = file.numbers(found - 8, 4)
    stated = file.numbers(gamma, 4)
    relative = tf.abs(tf.cast(stated, tf.float64) / rules.SRGB_GAMMA - 1.0)
    foreign = (gamma >= 0) & (stated > 0) & (relative > rules.GAMMA_TOLERANCE)
    numbers = file.numbers(points + 4 * tf.range(8, dtype=tf.int64), 4)
    off = tf.reduce_max(tf.abs(numbers - tf.constant(rules.SRGB_CHROMATICITIES, tf.int64)))
    foreign |= (points >= 0) & (sizes[2] == 32) & ~grey & (off > rules.CHROMATICITY_TOLERANCE)
    foreign &= (srgb < 0) & (profile < 0)
    large = (profile >= 0) & (sizes[0] > MOST_PACKED)
    inflated = tf.cond(
        (profile >= 0) & ~large, lambda: _inflated(file, data, profile, sizes[0]), lambda: tf.constant(b"")
    )
    opaque = (file.numbers(tf.constant(24, tf.int64), 1) < 8) & (key < 0)
    return _Marks(exif, exif + sizes[4], inflated, foreign | large, whole, opaque)


def _inflated(file: GraphBytes, data: Any, place: Any, size: Any) -> Any:
    """The profile of the iCCP chunk at `place`: a name of up to 79 bytes, two zeros, a zlib stream."""
    places = place + tf.range(80, dtype=tf.int64)
    head = tf.argmax(tf.cast(file.numbers(places, 1) == 0, tf.int32)) + 2
    stream = tf.strings.substr(data, tf.minimum(place + head, file.length), tf.maximum(size - head, 0))
    return tf.io.decode_compressed(stream, "ZLIB")


def _jpeg_marks(file: GraphBytes, data: Any) -> _Marks:
    def step(place: Any, found: Any) -> Any:
        head = file.values(place, 12)
        first, marker, size = head[0], head[1], joined(head[2:4])
        bare = (marker <= 1) | ((marker >= 0xD0) & (marker <= 0xD8))
        filling = (first != 0xFF) | (marker == 0xFF)
        exif = ~filling & (marker == 0xE1) & (joined(head[4:10]) == _EXIF)
        profile = ~filling & (marker == 0xE2) & (joined(head[4:12]) == _PROFILE)
        stop = place + 2 + size
        new = tf.stack([exif, exif, profile, profile]) & (found[:4] < 0)
        places = tf.where(new, tf.stack([place + 4, stop, place + 18, stop]), found[:4])
        found = tf.concat([places, found[4:] + tf.cast(profile, tf.int64)], 0)
        done = ~filling & ((marker == 0xDA) | (marker == 0xD9))  # pixels follow, or nothing
        one, two = tf.constant(1, tf.int64), tf.constant(2, tf.int64)
        return place + tf.where(filling, one, tf.where(bare, two, 2 + size)), done, found

    whole, found = _walk(file, 2, tf.constant([-1, -1, -1, -1, 0], tf.int64), step)
    exif, exif_stop, profile, stop, count = tf.unstack(found)
    # No profile of sRGB takes several segments.
    size = tf.maximum(stop - profile, 0) * tf.cast(count == 1, tf.int64)
    part = tf.strings.substr(data, tf.clip_by_value(profile, 0, file.length), size)
    return _Marks(exif, exif_stop, part, count > 1, whole, tf.constant(False))


def _orientation(file: GraphBytes, marks: _Marks) -> Any:
    """`vqmm.data.orientation.orientation_of` in a graph."""
    stop = tf.minimum(marks.exif_stop, file.length)
    start = marks.exif + 6 * tf.cast(file.numbers(marks.exif, 6) == _EXIF, tf.int64)
    order = file.numbers(start, 4)
    little = order == name_number("II*\0")
    legal = (marks.exif >= 0) & (little | (order == name_number("MM\0*"))) & (stop - start >= 8)
    first = start + file.numbers(start + 4, 4, little)
    legal &= first + 2 <= stop
    count = tf.minimum(file.numbers(first, 2, little), ENTRIES)
    count = tf.minimum(count, tf.maximum(stop - first - 2, 0) // 12)
    entries = file.values(first + 2 + 12 * tf.range(tf.maximum(count, 1)), 10)
    row = tf.argmax(tf.cast(joined(entries[:, :2], little) == TAG, tf.int32))
    tag, kind, value = (joined(tf.gather(entries, row)[at : at + 2], little) for at in (0, 2, 8))
    legal &= (count > 0) & (tag == TAG) & (kind == SHORT)
    return tf.where(legal & (value >= 1) & (value <= 8), tf.cast(value, tf.int32), 1)
