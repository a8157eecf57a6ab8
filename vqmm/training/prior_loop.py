"""Trains a prior on the codes that a tokenizer gives to prepared data, or has given: token files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from vqmm.config import Config
from vqmm.data.batches import Part
from vqmm.data.records import Dataset
from vqmm.encoding import codebook_fingerprint
from vqmm.errors import UserError
from vqmm.models import Prior, Settings, layout_of
from vqmm.training.cluster import lost_workers_told
from vqmm.training.continuation import continuation
from vqmm.training.loop import Training, deterministic_ops
from vqmm.training.model_file import model_from_checkpoint
from vqmm.training.precision import precision
from vqmm.training.prior_run import prior_config
from vqmm.training.progress import TrainingProgress
from vqmm.training.run_folder import Run, create_run, identity, open_run
from vqmm.training.strategy import make_strategy
from vqmm.training.token_batches import TokenTable, token_batches, token_table
from vqmm.training.token_folder import TokenFolder

VALIDATION_BATCHES = 4
VALIDATION_SEED = 1  # of what is hidden there: the same at every step


def train_prior(
    config: Config,
    dataset: Dataset | TokenFolder,
    folder: str | Path,
    progress: TrainingProgress | None = None,
) -> Run:
    """Trains a prior, or continues its run, as `vqmm.training.loop.train` does.

    The training split is encoded once, as it is: augmented items would teach the prior to draw
    augmented items.

    Args:
        config: with a `prior` section that names the tokenizer's run.
        dataset: prepared as the tokenizer's was; or token files, which spare encoding it.
        folder: the run folder.
        progress: where to show it; by default the standard error stream.

    Raises:
        UserError: as `train`; or the run in `folder` was begun with another codebook.
        Interrupted: SIGINT or SIGTERM came in; a checkpoint has been saved.
    """
    config = prior_config(config)
    spec = config.prior
    if spec is None:
        raise UserError("this config has no prior section")
    if isinstance(dataset, Dataset):
        dataset.check(config)
    strategy = make_strategy(config.train)
    config, added = continuation(folder, config)
    tokenizer = open_run(spec.tokenizer, coded=True)
    if isinstance(dataset, TokenFolder):
        dataset.check_codebook(codebook_fingerprint(tokenizer.model))
    known = {
        "tokenizer": {
            "run": str(spec.tokenizer),
            "step": tokenizer.step,
            "fingerprint": codebook_fingerprint(tokenizer.model),
        }
    }
    with create_run(folder, config, identity(dataset) | known) as run, precision(config.train):
        deterministic_ops(config.train)
        shown = progress or TrainingProgress(config.train.steps)
        return PriorTraining(tokenizer, config, dataset, run, strategy, shown, added).run()


def build_prior(config: Config, tokenizer: Run, labels: Sequence[str]) -> Prior:
    """A prior over a tokenizer's codes, with fresh weights.

    Raises:
        UserError: the tokenizer's codes do not make one sequence, or settings do not fit.
    """
    spec = config.prior
    if spec is None:
        raise UserError("this config has no prior section")
    keras.utils.set_random_seed(config.seed)
    try:
        layout = layout_of(tokenizer.model)
        Settings(**spec.sampling.model_dump()).check(layout)
        return Prior(
            layout.to_config(),
            dim=spec.dim,
            depth=spec.depth,
            heads=spec.heads,
            dropout=spec.dropout,
            kind=spec.kind,
            labels=labels if spec.labelled else (),
            label_smoothing=spec.label_smoothing,
            fingerprint=codebook_fingerprint(tokenizer.model),
            seed=config.seed,
            name="prior",
        )
    except ValueError as error:
        raise UserError(f"prior: {error}") from None


class PriorTraining(Training):
    """Training of a prior; see `Training`.

    Args:
        tokenizer: an open run.
        config, dataset, args: as there; the data may be token files.
    """

    dataset: Any  # a Dataset or a TokenFolder

    def __init__(self, tokenizer: Run, config: Config, dataset: Any, *args: Any):
        self.tokenizer = tokenizer
        self._tables: dict[str, TokenTable] = {}
        super().__init__(config, dataset, *args)

    def run(self) -> Run:
        with lost_workers_told(self.task, self.folder.path):
            self.cluster.check_same({"tokenizer": codebook_fingerprint(self.tokenizer.model)})
        return super().run()

    def build(self) -> Prior:
        return build_prior(self.config, self.tokenizer, self.dataset.labels)

    def batches(self) -> tf.data.Dataset:
        spec = self._spec()
        table = self._table("train")
        size, seed = self.config.train.batch_size, self.config.seed
        labelled = spec.labelled if self.model.classes else 0.0
        part = Part(self.task.index, self.task.count)
        return token_batches(table, spec.hiding, size, seed, self.step, labelled, part)

    def validation(self) -> PriorValidation | None:
        counts = self.dataset.counts.get("validation", {})
        if not counts.get("recordings") and not counts.get("pictures"):
            self.progress.say("the data has no validation split: the last model counts as the best")
            return None
        size = self.config.train.validation_batch_size
        batches = token_batches(self._table("validation"), self._spec().hiding, size, VALIDATION_SEED)
        return PriorValidation(self.model, batches.take(VALIDATION_BATCHES))

    def show_examples(self, board: Any, validation: Any) -> None:
        """Curves alone."""

    def finished_model(self) -> Any:
        return model_from_checkpoint(self.config, self.folder.weights(self.config), self.build)

    def _spec(self) -> Any:
        return self.config.prior

    def _table(self, split: str) -> TokenTable:
        if split not in self._tables:
            seed = self.config.seed if split == "train" else VALIDATION_SEED
            tokenizer, held = self.tokenizer, self.dataset
            if isinstance(held, TokenFolder):
                layout, pair_by = layout_of(tokenizer.model), tokenizer.config.data.pair_by
                self._tables[split] = held.table(layout, pair_by, split, seed)
            else:
                self._tables[split] = token_table(tokenizer.model, held, tokenizer.config, split, seed)
        return self._tables[split]


class PriorValidation:
    """Cross-entropy on the same hidden tokens every time.

    Args:
        model: that is trained.
        batches: of token sequences, kept in memory.
    """

    def __init__(self, model: Prior, batches: tf.data.Dataset):
        self.batches = [{name: part.numpy() for name, part in batch.items()} for batch in batches]
        self._judge = tf.function(model.test_step, reduce_retracing=True, autograph=False)

    def __len__(self) -> int:
        return sum(len(batch["tokens"]) for batch in self.batches)

    def figures(self) -> dict[str, float]:
        """Means over the batches: `loss` and `nats_SECTION`, in nats a hidden token."""
        found = [self._judge({k: tf.constant(v) for k, v in batch.items()}) for batch in self.batches]
        return {name: sum(float(one[name]) for one in found) / len(found) for name in found[0]}
