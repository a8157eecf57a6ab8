"""Checks that an exported model reads picture files as `prepare` does."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image, ImageCms

from vqmm.config import ImageSpec
from vqmm.data.pixels import largest_side
from vqmm.data.read_image import load_image
from vqmm.errors import UserError
from vqmm.export.parity import Runner

_UPSIDE_DOWN, _LEFT = 3, 6  # orientations of EXIF
_KEY = (255, 0, 255)


def compare_pictures(
    spec: ImageSpec, items: npt.NDArray[np.float32], run: Callable[[str], Runner]
) -> dict[str, Any]:
    """Compares codes of `encode_image_bytes` with those of `encode_image` for pictures that `prepare` read.

    Args:
        spec: of the config.
        items: pictures f32[n, H, W, C], n at least 1; the first is written in each form of `picture_forms`.
        run: gives the runner of a signature, by name.

    Returns:
        `items` that were read; `agreement`, the fraction of equal codes; `shared`, that of the shared
        ones alone; `differ`, forms with other codes; `refused`, forms that the signature refuses, with
        the reason. A form is right where its codes are equal or it is refused.
    """
    equal: dict[str, list[float]] = {"agreement": [], "shared": []}
    differ: list[str] = []
    refused: dict[str, str] = {}
    for name, data in picture_forms(spec, items[0]).items():
        with tempfile.TemporaryDirectory(prefix="vqmm-") as folder:
            path = Path(folder) / "picture"
            path.write_bytes(data)
            pixels = load_image(path, spec)[None].astype(np.float32) / np.float32(255.0)
        expected = run("encode_image")({"image": pixels})
        try:
            found = run("encode_image_bytes")({"image_bytes": np.array([data], object)})
        except UserError as error:
            refused[name] = str(error)
            continue
        same = {key: np.asarray(found[key]) == np.asarray(expected[key]) for key in expected}
        equal["agreement"].append(float(np.mean(np.concatenate([part.ravel() for part in same.values()]))))
        equal["shared"].append(float(same["shared"].mean()))
        if equal["agreement"][-1] < 1:
            differ.append(name)
    means = {key: float(np.mean(values)) if values else 1.0 for key, values in equal.items()}
    return {"items": len(equal["agreement"]), **means, "differ": differ, "refused": refused}


def picture_forms(spec: ImageSpec, item: npt.NDArray[np.float32]) -> dict[str, bytes]:
    """A picture as the files in which readers have differed, by a name that says which.

    Args:
        spec: of the config: what is large depends on the frame.
        item: f32[H, W, C], 0..1.
    """
    pixels = np.round(np.repeat(item, 3 // item.shape[2], axis=2) * 255).astype(np.uint8)
    picture = Image.fromarray(pixels)
    times = 2 * largest_side(spec.height, spec.width) // min(picture.size) + 1
    large = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    keyed = pixels.copy()
    keyed[:2] = _KEY
    deep = tf.constant(pixels.astype(np.uint16) * 257)
    turned = {
        "JPEG with EXIF orientation 3": _jpeg(picture, exif=_exif(_UPSIDE_DOWN)),
        "JPEG with EXIF orientation 6": _jpeg(picture, exif=_exif(_LEFT)),
    }
    linear = _with_chunk(_png(picture), b"gAMA", struct.pack(">I", 100_000))
    return {
        "PNG": _png(picture),
        f"PNG of {large.width} x {large.height} pixels": _png(large),
        "PNG of 1 bit": _png(picture.convert("1")),
        "PNG with a palette": _png(picture.convert("P", palette=Image.Palette.ADAPTIVE)),
        "PNG with a colour key": _png(Image.fromarray(keyed), transparency=_KEY),
        "PNG of 16 bits": bytes(tf.io.encode_png(deep).numpy()),
        "JPEG": _jpeg(picture),
        "JPEG of CMYK": _jpeg(picture.convert("CMYK")),
        **turned,
        "PNG with a profile of sRGB": _png(picture, icc_profile=_srgb()),
        "PNG with a linear gamma": linear,
    }


def _png(picture: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def _jpeg(picture: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG file with one more chunk behind its header of 33 bytes."""
    part = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return png[:33] + part + png[33:]
