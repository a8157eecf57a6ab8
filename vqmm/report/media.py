"""Pictures and sound as data URIs, so that a page is one file."""

from __future__ import annotations

import base64
import io

import numpy as np
import soundfile
from PIL import Image

PEAK = 0.8  # players are brought to one loudness, so that none startles


def data_uri(data: bytes, kind: str) -> str:
    """A data URI of `kind`, such as ``image/png``."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def png_uri(levels: np.ndarray) -> str:
    """PNG of u8[H, W] or u8[H, W, 3], pixel for pixel."""
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "png")
    return data_uri(buffer.getvalue(), "image/png")


def picture_uri(picture: np.ndarray) -> str:
    """PNG of a picture f32[H, W, C] in 0..1, pixel for pixel."""
    levels = np.round(np.clip(picture, 0.0, 1.0) * 255).astype("uint8")
    return png_uri(levels[..., 0] if levels.shape[-1] == 1 else levels)


def sound_uri(samples: np.ndarray, sample_rate: int) -> str:
    """16-bit WAV of samples f32[n], scaled to a peak of `PEAK`; silence stays silent."""
    loudest = float(np.abs(samples).max(initial=0.0))
    buffer = io.BytesIO()
    scaled = samples * (PEAK / loudest) if loudest > 1e-6 else samples
    soundfile.write(buffer, scaled, sample_rate, format="WAV", subtype="PCM_16")
    return data_uri(buffer.getvalue(), "audio/wav")
