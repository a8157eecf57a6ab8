"""Curves, pictures, spectrograms, sound and code histograms for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import tensorflow as tf

from vqmm.config import Config
from vqmm.models import VQVAE, PairAutoencoder
from vqmm.voice import griffin_lim

EXAMPLES = 8  # pictures and spectrograms
CLIPS = 3  # sounds: each takes a tenth of a second to rebuild


class TensorBoardLog:
    """Writes event files.

    Args:
        folder: of the event files; one folder inside for each split.
        config: of the run.
    """

    def __init__(self, folder: Path, config: Config):
        self.folder = folder
        self.config = config
        self._writers: dict[str, Any] = {}

    def scalars(self, step: int, split: str, figures: Mapping[str, float]) -> None:
        """Adds a point to the curve of each figure."""
        with self._writer(split).as_default(step):
            for name, value in figures.items():
                tf.summary.scalar(name, value)
        self._writer(split).flush()

    def examples(self, step: int, model: PairAutoencoder, batch: Mapping[str, np.ndarray]) -> None:
        """Shows what the model makes of a batch of pairs.

        Pictures and spectrograms come in three columns: original, rebuilt from all
        codes, and rebuilt from the shared codes of the other modality alone. The
        code histograms are over the whole batch.
        """
        given = {name: tf.convert_to_tensor(batch[name]) for name in ("audio", "image")}
        first = {name: value[:EXAMPLES] for name, value in given.items()}
        codes = {}
        if isinstance(model, VQVAE):
            codes = {name: model.encode(**{name: value}) for name, value in given.items()}
        columns = {"audio": [np.asarray(model.log_mel(given["audio"][:EXAMPLES]))]}
        columns["image"] = [batch["image"][:EXAMPLES]]
        for name, other in (("audio", "image"), ("image", "audio")):
            columns[name].append(np.asarray(model.reconstruct(first[name], name)))
            if model.encoders[name].layout == "slots":
                columns[name].append(np.asarray(model.reconstruct(first[other], other, to=name)))
        sounds = {
            "original": batch["audio"][:CLIPS],
            "rebuilt": griffin_lim(self.config)(columns["audio"][1][:CLIPS]),
        }
        with self._writer("validation").as_default(step):
            tf.summary.image("pictures", np.concatenate(columns["image"], axis=2), max_outputs=EXAMPLES)
            tf.summary.image("spectrograms", _coloured(columns["audio"]), max_outputs=EXAMPLES)
            for title, clips in sounds.items():
                rate = self.config.data.audio.sample_rate
                tf.summary.audio(f"sound/{title}", clips[..., None], rate, max_outputs=CLIPS)
            for name, found in codes.items():
                for part, values in found._asdict().items():
                    if values is not None:
                        tf.summary.histogram(f"codes/{name}/{part}", values)
        self._writer("validation").flush()

    def _writer(self, split: str) -> Any:
        if split not in self._writers:
            self._writers[split] = tf.summary.create_file_writer(str(self.folder / split))
        return self._writers[split]


def _coloured(columns: list[np.ndarray]) -> np.ndarray:
    """Log-mels f32[B, frames, mels, 1] as colour pictures with time to the right and low tones below."""
    low, high = columns[0].min(), columns[0].max()
    pictures = []
    for mel in columns:
        upright = np.flip(np.swapaxes(mel[..., 0], 1, 2), axis=1)
        pictures.append(matplotlib.colormaps["magma"]((upright - low) / max(high - low, 1e-6))[..., :3])
    return np.concatenate(pictures, axis=2).astype("float32")
