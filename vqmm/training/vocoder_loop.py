"""Trains a vocoder on the recordings of prepared data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vqmm.config import Config
from vqmm.data.batches import WHOLE, Part, TrainingBatches, evaluation_batches
from vqmm.data.records import Dataset
from vqmm.encoding import codebook_fingerprint
from vqmm.models import Vocoder, build_vocoder
from vqmm.training.cluster import lost_workers_told
from vqmm.training.continuation import continuation
from vqmm.training.loop import Training, deterministic_ops
from vqmm.training.precision import precision
from vqmm.training.progress import TrainingProgress
from vqmm.training.run_folder import Run, create_run, identity, open_run
from vqmm.training.strategy import make_strategy
from vqmm.training.vocoder_run import vocoder_config

VALIDATION_BATCHES = 2


def train_vocoder(
    config: Config, dataset: Dataset, folder: str | Path, progress: TrainingProgress | None = None
) -> Run:
    """Trains a vocoder, or continues its run, as `vqmm.training.loop.train` does.

    Args:
        config: with a `vocoder` section.
        dataset: prepared; its recordings alone are used.
        folder: the run folder.
        progress: where to show it; by default the standard error stream.

    Raises:
        UserError: as `train`; or the run in `folder` was begun with another tokenizer.
        Interrupted: SIGINT or SIGTERM came in; a checkpoint has been saved.
    """
    config = vocoder_config(config)
    dataset.check(config)
    strategy = make_strategy(config.train)
    config, added = continuation(folder, config)
    tokenizer, known = None, {}
    if config.vocoder is not None and config.vocoder.tokenizer:
        tokenizer = open_run(config.vocoder.tokenizer, coded=True)
        fingerprint = codebook_fingerprint(tokenizer.model)
        known = {"tokenizer": {"run": config.vocoder.tokenizer, "fingerprint": fingerprint}}
    with create_run(folder, config, identity(dataset) | known) as run, precision(config.train):
        deterministic_ops(config.train)
        shown = progress or TrainingProgress(config.train.steps)
        return VocoderTraining(tokenizer, config, dataset, run, strategy, shown, added).run()


class VocoderTraining(Training):
    """Training of a vocoder; see `Training`.

    Args:
        tokenizer: an open run, None for the log-mel of recordings alone; the other arguments as there.
    """

    def __init__(self, tokenizer: Run | None, config: Config, dataset: Dataset, *args: Any):
        self.tokenizer = tokenizer
        super().__init__(config, dataset, *args)

    def run(self) -> Run:
        known = "" if self.tokenizer is None else codebook_fingerprint(self.tokenizer.model)
        with lost_workers_told(self.task, self.folder.path):
            self.cluster.check_same({"tokenizer": known})
        return super().run()

    def build(self) -> Vocoder:
        return build_vocoder(self.config)

    @cached_property
    def source(self) -> TrainingBatches:
        return TrainingBatches(self.dataset, self.config, alone="audio")

    def batches(self) -> tf.data.Dataset:
        batches = super().batches()
        kept = batches.map(lambda batch: {name: batch[name] for name in ("audio", "audio_mask")})
        if self.tokenizer is None or self.config.vocoder is None:
            return kept
        part = Part(self.task.index, self.task.count)
        share, size = self.config.vocoder.rebuilt, self.config.train.batch_size
        return kept.map(partly_rebuilt(self.tokenizer.model, share, size, part))

    def validation(self) -> VocoderValidation | None:
        if not self.dataset.counts.get("validation", {}).get("recordings"):
            self.progress.say("the data has no recordings to validate on: the last model counts as the best")
            return None
        size = self.config.train.validation_batch_size
        batches = evaluation_batches(self.dataset, self.config, "validation", "audio", size)
        return VocoderValidation(self.model, batches.take(VALIDATION_BATCHES))

    def show_examples(self, board: Any, validation: Any) -> None:
        """Curves alone."""


def partly_rebuilt(model: Any, share: float, size: int, part: Part = WHOLE) -> Any:
    """Gives a share of a batch, whose order is random, the log-mel that a tokenizer rebuilds.

    Args:
        model: of the tokenizer.
        share: of the clips.
        size: clips of a whole batch.
        part: of it, which a batch here is: each process rebuilds its own.

    Returns:
        A function that adds `log_mel`, f32[B, frames, mels, 1], to a batch with `audio`, f32[B, samples].
    """
    # By the row of the whole batch, so that it is the same for any number of processes; every so
    # many rows, so that each of them has as much to do.
    chosen = np.diff(np.floor(np.arange(size + 1) * share + 0.5)) > 0
    mine = chosen[part.rows(size)]
    order = np.argsort(~mine, kind="stable")  # those that are rebuilt first
    back = np.argsort(order)
    count = int(mine.sum())

    def given(batch: Mapping[str, Any]) -> dict[str, Any]:
        audio = tf.gather(batch["audio"], order)
        rebuilt = model.reconstruct(audio[:count], "audio")
        plain = model.log_mel(audio[count:])
        return {**batch, "log_mel": tf.gather(tf.concat([rebuilt, plain], axis=0), back)}

    return tf.autograph.experimental.do_not_convert(given)


class VocoderValidation:
    """The loss of whole clips, the same every time.

    Args:
        model: that is trained.
        batches: of recordings, kept in memory.
    """

    def __init__(self, model: Vocoder, batches: tf.data.Dataset):
        self.batches = [batch["audio"].numpy() for batch in batches]
        self._judge = tf.function(model.test_step, reduce_retracing=True, autograph=False)

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    def figures(self) -> dict[str, float]:
        """Means over the clips."""
        found: dict[str, float] = {}
        for audio in self.batches:
            batch = {"audio": tf.constant(audio), "audio_mask": tf.ones(len(audio), tf.bool)}
            for name, value in self._judge(batch).items():
                found[name] = found.get(name, 0.0) + float(value) * len(audio) / len(self)
        return found
