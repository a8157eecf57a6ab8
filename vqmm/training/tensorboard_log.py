"""Curves, pictures, spectrograms, sound and code histograms for TensorBoard."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vqmm.config import Config
from vqmm.extras import missing_packages
from vqmm.models import VQVAE, PairAutoencoder
from vqmm.plain_reason import plain_reason
from vqmm.voice import griffin_lim

log = logging.getLogger("vqmm.training")

EXAMPLES = 8  # pictures and spectrograms
CLIPS = 3  # sounds: each takes a tenth of a second to rebuild


class TensorBoardLog:
    """Writes event files, until one cannot be written: training goes on without them.

    It writes none where TensorBoard is not installed. Either is logged once, as a warning
    of the logger `vqmm.training`. Where a run is continued, TensorBoard is told to forget the points that
    an interrupted part has left beyond.

    Args:
        folder: of the event files; one folder inside for each split.
        config: of the run.
    """

    def __init__(self, folder: Path, config: Config):
        self.folder = folder
        self.config = config
        self._writers: dict[str, Any] = {}
        self._over = bool(missing_packages("logging"))
        if self._over:
            log.warning(
                "train.tensorboard=true, and TensorBoard is not installed: training goes on without its "
                "event files, and metrics.jsonl has the same figures; pip install 'vqmm[logging]', or "
                "--set train.tensorboard=false"
            )

    def scalars(self, step: int, split: str, figures: Mapping[str, float]) -> None:
        """Adds a point to the curve of each figure."""

        def write() -> None:
            for name, value in figures.items():
                tf.summary.scalar(name, value)

        self._add(step, split, write)

    def examples(self, step: int, model: PairAutoencoder, batch: Mapping[str, np.ndarray]) -> None:
        """Shows what the model makes of a batch of pairs.

        Pictures and spectrograms come in three columns: original, rebuilt from all
        codes, and rebuilt from the shared codes of the other modality alone. The
        code histograms are over the whole batch.
        """
        if self._over:
            return
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

        def write() -> None:
            tf.summary.image("pictures", np.concatenate(columns["image"], axis=2), max_outputs=EXAMPLES)
            tf.summary.image("spectrograms", _coloured(columns["audio"]), max_outputs=EXAMPLES)
            for title, clips in sounds.items():
                rate = self.config.data.audio.sample_rate
                tf.summary.audio(f"sound/{title}", clips[..., None], rate, max_outputs=CLIPS)
            for name, found in codes.items():
                for part, values in found._asdict().items():
                    if values is not None:
                        tf.summary.histogram(f"codes/{name}/{part}", values)

        self._add(step, "validation", write)

    def _add(self, step: int, split: str, write: Callable[[], None]) -> None:
        if self._over:
            return
        try:
            writer = self._writers.get(split) or self._open(split, step)
            with writer.as_default(step):
                write()
            writer.flush()
        except (OSError, tf.errors.OpError) as error:
            self._over = True
            log.warning(
                "cannot write %s: %s; training goes on without TensorBoard", self.folder, plain_reason(error)
            )

    def _open(self, split: str, step: int) -> Any:
        folder, v1 = str(self.folder / split), tf.compat.v1
        # All but the first of these make TensorBoard drop points from this step on. Its file comes
        # before the other one, in time and by name.
        with tf.Graph().as_default(), v1.summary.FileWriter(folder) as sessions:
            sessions.add_session_log(v1.SessionLog(status=v1.SessionLog.START), step)
        self._writers[split] = tf.summary.create_file_writer(folder)
        return self._writers[split]


def _coloured(columns: list[np.ndarray]) -> np.ndarray:
    """Log-mels f32[B, frames, mels, 1] as colour pictures with time to the right and low tones below."""
    import matplotlib

    low, high = columns[0].min(), columns[0].max()
    pictures = []
    for mel in columns:
        upright = np.flip(np.swapaxes(mel[..., 0], 1, 2), axis=1)
        pictures.append(matplotlib.colormaps["magma"]((upright - low) / max(high - low, 1e-6))[..., :3])
    return np.concatenate(pictures, axis=2).astype("float32")
