"""PNG and JPEG files into the model's frame, inside a graph, with operations that TensorFlow Serving has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from vqmm.config import ImageSpec
from vqmm.data import framing as rules
from vqmm.data.pixels import FAINT, REQUEST_PIXELS, largest_side
from vqmm.export.graph_pixels import decode_picture, reduce_picture
from vqmm.export.graph_sound import percentile
from vqmm.export.picture_header import picture_header, picture_shape


def picture_reader(spec: ImageSpec, request_pixels: int = REQUEST_PIXELS) -> Callable[[Any], Any]:
    """Makes the function from picture files to the model's pictures.

    What `vqmm.data.read_image.load_image` does: the orientation of EXIF is obeyed, large
    pictures are reduced, colour keys and alpha are laid over the background, colours become
    `spec.channels`, then `frame_picture`. Colours that are not sRGB are refused.

    Args:
        spec: of the config.
        request_pixels: that the headers of all files of one call may state together.

    Returns:
        Function from str[B] (PNG, JPEG) to f32[B, height, width, channels] in 0..1. In the
        graph it raises InvalidArgumentError, before anything is decoded, for what is no such
        file, is smaller than 2 x 2 pixels, has more than `spec.max_pixels`, has with the
        others more than `request_pixels`, or has a profile, gamma or chromaticities other than sRGB.
    """
    shape = (spec.height, spec.width, spec.channels)

    side = largest_side(spec.height, spec.width)

    def shape_of(data: Any) -> Any:
        stated = picture_shape(data)
        size = stated[:2]
        legal = (tf.reduce_min(size) >= 2) & (_pixels(size) <= spec.max_pixels)
        said = ["the picture has", size, f"rows and columns; 2 x 2 to {spec.max_pixels} pixels can be read"]
        with tf.control_dependencies([tf.debugging.Assert(legal, said)]):
            return tf.identity(stated)

    def read_one(item: Any) -> Any:
        data, stated = item
        grey = stated[2] == 1
        samples = decode_picture(data, picture_header(data, grey))
        picture = reduce_picture(samples, tf.maximum(1, tf.reduce_max(stated[:2]) // side))
        return tf.ensure_shape(frame(_as_channels(picture, grey, spec), spec), shape)

    def read(files: Any) -> Any:
        stated = tf.map_fn(shape_of, files, fn_output_signature=tf.TensorSpec((3,), tf.int32))
        total = tf.reduce_sum(_pixels(stated[:, :2]))
        said = [
            "the pictures of the request have",
            total,
            f"pixels; {request_pixels} is the most: send fewer",
        ]
        with tf.control_dependencies([tf.debugging.Assert(total <= request_pixels, said)]):
            items = tf.identity(files), stated
        # One after another: what a picture takes while it is decoded is not taken several times.
        found = tf.map_fn(
            read_one, items, parallel_iterations=1, fn_output_signature=tf.TensorSpec(shape, tf.float32)
        )
        return tf.round(found * 255.0) / 255.0  # records hold bytes

    return read


def frame(picture: Any, spec: ImageSpec) -> Any:
    """`vqmm.data.framing.frame_picture` in a graph.

    Args:
        picture: f32[h, w, c], 0..1.
        spec: how to frame it.

    Returns:
        f32[spec.height, spec.width, c], 0..1.
    """
    border = tf.map_fn(lambda side: percentile(side, 50.0), tf.transpose(_border(picture)))
    if spec.background != "as-is":
        light = _luma(border) > 0.5
        turn = light != (spec.background == "light")
        picture, border = tf.where(turn, 1.0 - picture, picture), tf.where(turn, 1.0 - border, border)
    extent = tf.cast(tf.shape(picture)[:2], tf.float32)
    low, high = tf.zeros(2), extent
    margin = rules.MARGIN if spec.trim else 0.0
    if spec.trim:
        low, high, found = _content(picture, border)
        low, high = tf.where(found, low, 0.0), tf.where(found, high, extent)
    target = tf.constant([spec.height, spec.width], tf.float32)
    scale = tf.reduce_min(target * (1 - 2 * margin) / (high - low))
    if spec.trim:
        keep = tf.maximum(1.0, margin * tf.reduce_max(high - low))
        picture = _blank_outside(picture, border, low - keep, high + keep)
    middle, half = (low + high) / 2, target / scale / 2
    framed = _resample(picture, border, middle - half, middle + half, (spec.height, spec.width))
    if spec.stretch and spec.background != "as-is":
        framed = _stretch(framed, border, spec.background == "dark")
    return framed


def _pixels(sizes: Any) -> Any:
    return tf.reduce_prod(tf.cast(sizes, tf.int64), axis=-1)


def _as_channels(picture: Any, grey: Any, spec: ImageSpec) -> Any:
    """Lays a picture, colour times alpha and alpha, over the background; see `vqmm.data.pixels.flatten`."""
    colour, alpha = picture[:, :, :3], picture[:, :, 3:]
    ground = tf.constant(1.0)
    if spec.background == "dark":
        faint = tf.reduce_sum(colour) < FAINT * tf.maximum(3 * tf.reduce_sum(alpha), 1e-6)
        ground = tf.where(faint, 1.0, 0.0)
    colour = colour + ground * (1.0 - alpha)
    if spec.channels == 3:
        return colour
    luma = tf.tensordot(colour, tf.constant(rules.LUMA), 1)[:, :, None]
    return tf.where(grey, colour[:, :, :1], luma)


def _border(picture: Any) -> Any:
    return tf.concat([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]], axis=0)


def _luma(colour: Any) -> Any:
    return colour[0] if colour.shape[0] == 1 else tf.reduce_sum(colour * rules.LUMA)


def _content(picture: Any, border: Any) -> tuple[Any, Any, Any]:
    """Corners (row, column) of the content, and whether there is any; see `content_box`."""
    difference = tf.reduce_max(tf.abs(picture - border), axis=2)
    padded = tf.pad(difference, [[1, 1], [1, 1]])
    extent = tf.cast(tf.shape(padded), tf.float32)
    size = tf.maximum(3.0, tf.round(extent * (rules.SEARCH_SIZE / tf.reduce_max(extent))))
    size = tf.cast(size, tf.int32)
    smooth = _bicubic(padded[:, :, None], size, tf.zeros(2), extent)[:, :, 0]
    ones = tf.pad(tf.clip_by_value(smooth, 0.0, 1.0), [[1, 1], [1, 1]])
    search = tf.nn.avg_pool2d(ones[None, :, :, None], 3, 1, "VALID")[0, :, :, 0]
    largest = tf.reduce_max(search)
    noise = tf.cond(
        tf.reduce_min(size) > 8,
        lambda: 1.4826 * percentile(_border(search[2:-2, 2:-2, None])[:, 0], 50.0),
        lambda: 0.0,
    )
    level = tf.minimum(tf.maximum(rules.CONTENT * largest, rules.NOISE * noise), 0.6 * largest)
    found = search > level
    ends = []
    to_source = extent / tf.cast(size, tf.float32)
    for axis in (0, 1):
        where = tf.cast(tf.where(tf.reduce_any(found, axis=1 - axis))[:, 0], tf.float32)
        low = tf.maximum(0.0, tf.reduce_min(where) * to_source[axis] - 1)
        high = tf.minimum(extent[axis] - 2.0, (tf.reduce_max(where) + 1) * to_source[axis] - 1)
        ends.append((low, high))
    (top, bottom), (left, right) = ends
    return tf.stack([top, left]), tf.stack([bottom, right]), largest >= rules.BLANK


def _blank_outside(picture: Any, border: Any, low: Any, high: Any) -> Any:
    rows = tf.cast(tf.range(tf.shape(picture)[0]), tf.float32)
    columns = tf.cast(tf.range(tf.shape(picture)[1]), tf.float32)
    down = (rows >= tf.floor(low[0])) & (rows < tf.math.ceil(high[0]))
    across = (columns >= tf.floor(low[1])) & (columns < tf.math.ceil(high[1]))
    return tf.where((down[:, None] & across[None, :])[:, :, None], picture, border)


def _resample(picture: Any, border: Any, low: Any, high: Any, size: tuple[int, int]) -> Any:
    extent = tf.cast(tf.shape(picture)[:2], tf.float32)
    before = tf.math.ceil(tf.maximum(0.0, -low))
    after = tf.math.ceil(tf.maximum(0.0, high - extent))
    pads = tf.cast(tf.stack([before, after], axis=1), tf.int32)
    # Zeros beside the picture less its border are the border beside the picture.
    padded = tf.pad(picture - border, tf.concat([pads, [[0, 0]]], axis=0)) + border
    framed = _bicubic(padded, tf.constant(size), low + before, high + before)
    return tf.clip_by_value(framed, 0.0, 1.0)


def _bicubic(picture: Any, size: Any, low: Any, high: Any) -> Any:
    """The part between two corners at another size; the kernel widens when shrinking, as Pillow's does."""
    scale = tf.cast(size, tf.float32) / (high - low)
    return tf.raw_ops.ScaleAndTranslate(
        images=picture[None],
        size=size,
        scale=scale,
        translation=-low * scale,
        kernel_type="keyscubic",
        antialias=True,
    )[0]


def _stretch(framed: Any, border: Any, dark: bool) -> Any:
    content = framed - border if dark else border - framed
    strongest = percentile(tf.reshape(tf.reduce_max(content, axis=2), (-1,)), rules.STRONGEST)
    full = tf.clip_by_value(content / tf.maximum(strongest, 1e-6), 0.0, 1.0)
    return tf.where(strongest < rules.BLANK, framed, full if dark else 1.0 - full)
