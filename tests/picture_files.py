"""Picture files of every format and mode, made for tests."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def drawing(size: tuple[int, int] = (61, 47)) -> Image.Image:
    """A stroke and a disc off the centre, in colours."""
    big = Image.new("RGB", (size[0] * 4, size[1] * 4), (235, 240, 230))
    pen = ImageDraw.Draw(big)
    pen.line([(60, 40), (150, 140)], fill=(30, 20, 90), width=16)
    pen.ellipse([90, 30, 130, 80], fill=(200, 60, 40))
    return big.resize(size, Image.Resampling.LANCZOS)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(samples: np.ndarray, bits: int, colour_type: int, *before: bytes) -> bytes:
    """A PNG file by the specification, without Pillow.

    Args:
        samples: whole numbers [h, w, c] of `bits` bits.
        bits: of a sample, 1, 2, 4, 8 or 16.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
        before: chunks between header and pixels.
    """
    rows, columns = samples.shape[:2]
    if bits == 16:
        packed = [row.astype(">u2").tobytes() for row in samples]
    elif bits == 8:
        packed = [row.astype(np.uint8).tobytes() for row in samples]
    else:
        shifts = np.arange(bits - 1, -1, -1)
        planes = (samples[:, :, :1].astype(np.uint8) >> shifts) & 1
        packed = [np.packbits(row).tobytes() for row in planes.reshape(rows, -1)]
    head = struct.pack(">IIBBBBB", columns, rows, bits, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in packed))
    parts = [chunk(b"IHDR", head), *before, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(parts)


def with_chunks(data: bytes, *chunks: bytes) -> bytes:
    """A PNG file with more chunks behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def exif(orientation: int, order: str = "<") -> bytes:
    """EXIF data, a TIFF header and one entry, as cameras write it."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return head + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def every_kind() -> dict[str, bytes]:
    """One small file of each format and mode, by a name that says which."""
    picture = drawing()
    alpha = picture.copy()
    alpha.putalpha(Image.fromarray(np.uint8(np.asarray(picture.convert("L")) < 200) * 255))
    palette = picture.convert("P", palette=Image.Palette.ADAPTIVE)
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30, 4)).astype(np.uint16)
    found = {
        f"png {mode}": saved(alpha.convert(mode) if mode[-1] == "A" else picture.convert(mode), "PNG")
        for mode in ("1", "L", "LA", "RGB", "RGBA")
    }
    found["png palette"] = saved(palette, "PNG")
    found["png palette alpha"] = saved(palette, "PNG", transparency=bytes(range(0, 250, 10)))
    for channels in (1, 2, 3, 4):
        found[f"png 16 bits {channels}"] = tf.io.encode_png(deep[:, :, :channels]).numpy()
    grey = np.asarray(picture.convert("L"))[:, :, None]
    key = chunk(b"tRNS", struct.pack(">H", 3))
    found["png 2 bits key"] = png(grey // 64, 2, 0, key)
    found["png 4 bits key"] = png(grey // 16, 4, 0, key)
    for bits in (2, 4):
        found[f"png {bits} bits"] = png(grey >> (8 - bits), bits, 0)
        colours = bytes(np.random.default_rng(bits).integers(0, 256, 3 << bits).astype(np.uint8))
        parts = chunk(b"PLTE", colours), chunk(b"tRNS", b"\0\x80")
        found[f"png {bits} bits palette"] = png(grey >> (8 - bits), bits, 3, parts[0])
        found[f"png {bits} bits palette alpha"] = png(grey >> (8 - bits), bits, 3, *parts)
    found["jpeg RGB"] = saved(picture, "JPEG", quality=90)
    found["jpeg progressive"] = saved(picture, "JPEG", progressive=True)
    found["jpeg L"] = saved(picture.convert("L"), "JPEG")
    found["jpeg CMYK"] = saved(picture.convert("CMYK"), "JPEG")
    found["gif"] = saved(palette, "GIF")
    found["gif animation"] = saved(palette, "GIF", save_all=True, append_images=[palette.rotate(90)])
    for mode in ("1", "L", "RGB", "RGBA"):
        found[f"bmp {mode}"] = saved(alpha.convert(mode), "BMP")
    found["webp lossy"] = saved(picture, "WEBP", quality=80)
    found["webp lossless"] = saved(alpha, "WEBP", lossless=True)
    found["webp animation"] = saved(picture, "WEBP", save_all=True, append_images=[picture.rotate(90)])
    return found
