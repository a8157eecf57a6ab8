"""From codes back to pictures and sound, and into files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image

from vqmm.atomic import replacing
from vqmm.config import Config
from vqmm.data.shards import Modality
from vqmm.errors import UserError
from vqmm.models import VQVAE, Codes
from vqmm.tokens import TokenFile
from vqmm.voice import Voice, griffin_lim

SUFFIXES = {"audio": ".wav", "image": ".png"}


def rebuild(
    model: VQVAE,
    config: Config,
    tokens: TokenFile,
    to: Modality | None = None,
    shared_only: bool = False,
    voice: Voice | None = None,
) -> list[npt.NDArray[Any]]:
    """Decodes token files.

    Args:
        model: whose codebook made the codes.
        config: of its run.
        tokens: n items.
        to: modality to decode to; None is that of the tokens. The other one has only
            the shared codes to go by.
        shared_only: leave the private codes out, to see what the shared ones carry.
        voice: turns log-mel into sound; None for Griffin-Lim.

    Returns:
        n pictures u8[H, W, C], or n recordings f32[samples] at the config's rate: as
        long as they were before they were padded for the model, where that is known.
    """
    target = to or tokens.modality
    own = target == tokens.modality
    rebuilt: list[npt.NDArray[Any]] = []
    voice = voice or griffin_lim(config)
    size = int(config.evaluate.batch_size)
    for start in range(0, len(tokens), size):
        here = slice(start, start + size)
        private = None
        if own and not shared_only and tokens.private is not None:
            private = tokens.private[here].astype(np.int32)
        features = np.asarray(model.decode(Codes(tokens.shared[here].astype(np.int32), private), target))
        if target == "image":
            rebuilt += list(np.round(np.clip(features, 0.0, 1.0) * 255).astype(np.uint8))
            continue
        lengths = tokens.sizes[here, 0] if own else [config.data.audio.samples] * len(features)
        for sound, length in zip(voice(features), lengths, strict=True):
            rebuilt.append(_unpadded(sound, config.data.audio.samples, int(length)))
    return rebuilt


def write_media(path: str | Path, media: npt.NDArray[Any], config: Config) -> None:
    """Writes a picture u8[H, W, C] as PNG or a recording f32[samples] as 16-bit WAV.

    Raises:
        UserError: another ending than that of the format.
    """
    path = Path(path)
    modality = "audio" if media.ndim == 1 else "image"
    if path.suffix.lower() != SUFFIXES[modality]:
        raise UserError(
            f"{path}: the rebuilt {modality} is written as {SUFFIXES[modality]}; name the file so"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        if modality == "audio":
            soundfile.write(part, media, config.data.audio.sample_rate, format="WAV", subtype="PCM_16")
        else:
            Image.fromarray(media[:, :, 0] if media.shape[2] == 1 else media).save(part, "PNG")


def _unpadded(audio: npt.NDArray[np.float32], window: int, length: int) -> npt.NDArray[np.float32]:
    audio = np.pad(audio[:window], (0, max(0, window - len(audio))))
    before = max(0, (window - length + 1) // 2)  # shorter recordings were centred in zeros
    return audio[before : before + length]
