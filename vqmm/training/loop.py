"""Trains the model of a config on a data set, in a run folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from vqmm.config import Config, Train
from vqmm.data.batches import Part, TrainingBatches, check_batch_size, paired_evaluation_batches
from vqmm.data.records import Dataset
from vqmm.models import VQGAN, VQVAE, build_model
from vqmm.training.best import BestSoFar
from vqmm.training.check_schedule import unfinished_ramps
from vqmm.training.checkpoints import Checkpoints, step_of
from vqmm.training.cluster import Cluster, lost_workers_told, task_of
from vqmm.training.codebook_start import start_codebook
from vqmm.training.continuation import continuation, keep_former_model
from vqmm.training.finishing import finished
from vqmm.training.finite import check_terms, check_variables
from vqmm.training.metrics_log import MetricsLog, Window, read_metrics
from vqmm.training.model_file import model_from_checkpoint, save_model
from vqmm.training.optimizer import compile_model
from vqmm.training.precision import precision
from vqmm.training.progress import TrainingProgress, silent
from vqmm.training.run_folder import Run, RunFolder, create_run, identity
from vqmm.training.step_runner import StepRunner
from vqmm.training.stop_signals import Interrupted, stop_on_signals
from vqmm.training.strategy import make_strategy
from vqmm.training.teaching import TURNS, teach_perceiver
from vqmm.training.trained_items import record_trained_items
from vqmm.training.validation import Validation

if TYPE_CHECKING:
    from vqmm.training.tensorboard_log import TensorBoardLog

LOG_EVERY = 20  # steps; figures are fetched from the device no more often than that
TEACHING_BATCHES = 32
USUAL_MONITOR = Train.model_fields["monitor"].default
BURST = 0.5  # seconds that steps run for before the loop looks at signals and figures


def train(
    config: Config, dataset: Dataset, folder: str | Path, progress: TrainingProgress | None = None
) -> Run:
    """Trains, or continues a run that was stopped or killed.

    With `train.strategy` multi_worker, every process calls this; the chief alone writes the
    folder, and the others get what they need from it.

    The result depends on config and data alone: with `train.deterministic`, a run
    that was killed and continued ends in the same weights, bit for bit, as one that
    was left alone. Deterministic ops then stay on for the process.

    Args:
        config: of the run.
        dataset: prepared with the same audio and image spec.
        folder: the run folder, see `vqmm.training.run_folder.RunFolder`.
        progress: where to show it; by default the standard error stream.

    Steps that are added to a finished run are trained as `train.continuation` says, and the former
    model is kept beside the new one.

    Returns:
        The run, with the best validated model (the last where none was validated, or
        with `train.model` last).

    Raises:
        UserError: the folder, data or devices do not fit the config, the loss is
            not finite, a checkpoint cannot be written, or another worker is gone.
        Interrupted: SIGINT or SIGTERM came in; a checkpoint has been saved.
    """
    dataset.check(config)
    # Before anything starts TensorFlow: devices cannot be split later.
    strategy = make_strategy(config.train)
    config, added = continuation(folder, config)
    with create_run(folder, config, identity(dataset)) as run, precision(config.train):
        deterministic_ops(config.train)
        shown = progress or TrainingProgress(config.train.steps)
        return Training(config, dataset, run, strategy, shown, added).run()


def deterministic_ops(spec: Train) -> None:
    """Switches deterministic ops on for the process, where the config asks for them."""
    if spec.deterministic:
        tf.config.experimental.enable_op_determinism()


class Training:
    """One process's part of a run, from its last checkpoint to its end.

    Another kind of model takes other batches and figures: see the methods below `run`.

    Args:
        config: of the run.
        dataset: that it is trained on.
        run: its folder, held by this process.
        strategy: which devices.
        progress: where to show it.
        added: what becomes of the learning rate where steps are added, see `continuation`.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        run: RunFolder,
        strategy: Any,
        progress: TrainingProgress,
        added: str | None = None,
    ):
        self.added = added
        self.config = config
        self.dataset = dataset
        self.folder = run
        self.strategy = strategy
        self.task = task_of(config.train)
        self.cluster = Cluster(strategy, self.task)
        self.progress = progress if self.task.chief else silent(progress)
        with lost_workers_told(self.task, run.path), strategy.scope():
            self.model: Any = self.build()
            self.optimizers = compile_model(self.model, config)
        self.checkpoints = Checkpoints(
            run.last, run.best, self.model, self.optimizers, config.train.keep_checkpoints
        )
        self.coded = isinstance(self.model, VQVAE)
        self.log = MetricsLog(run.metrics)
        self.best = self._following(config.train.monitor)
        self.step = 0
        self.seconds = 0.0  # trained before this process
        self.began = time.monotonic()

    def run(self) -> Run:
        self.step = self.checkpoints.restore() or 0
        for told in self.checkpoints.passed_over:
            self.progress.say(f"a checkpoint cannot be read, the one before it is taken: {told}")
        self.log.rewind(self.step)
        lines = read_metrics(self.folder.metrics)
        self.best = self._following(self._monitor(lines))
        self.best.replay(lines)
        self.seconds = lines[-1]["seconds"] if lines else 0.0
        self.began = time.monotonic()
        with lost_workers_told(self.task, self.folder.path):
            facts = {"config": self.config.model_dump_json(), "data": self.dataset.checksum}
            self.cluster.check_same(facts)
            ended = self.cluster.agree(None, 0, self._finished()).ended
            validation = None
            if not ended:
                self._introduce()
                validation = self._checked_validation()
            if self.task.chief and isinstance(self.dataset, Dataset):  # token files hold no items
                record_trained_items(self.folder, self.dataset)
            if self.task.chief and not self.step:
                self._teach_perceiver()
            self._follow_chief(self.optimizers)
            if not ended:
                self._loop(validation)
        if not self.task.chief:
            return Run(self.config, self.model, self.folder.path, self.step)
        return self._finish()

    def build(self) -> Any:
        """The model with fresh weights."""
        return build_model(self.config)

    @cached_property
    def source(self) -> TrainingBatches:
        """The training split, opened once for all who read it.

        Raises:
            UserError: a batch would contrast pairs with copies of themselves.
        """
        opened = TrainingBatches(self.dataset, self.config)
        check_batch_size(self.config, opened.pairs)
        return opened

    def batches(self) -> tf.data.Dataset:
        """Of training, from the current step on."""
        if self.source.longer and not self.step:
            self.progress.say(self.source.longer)
        return self.source.starting_at(self.step, Part(self.task.index, self.task.count))

    def validation(self) -> Any:
        """What measures the model now and then, None where there is nothing to measure it on."""
        if not any(self.dataset.counts.get("validation", {}).values()):
            self.progress.say("the data has no validation split: the last model counts as the best")
            return None
        size = self.config.train.validation_batch_size
        batches = paired_evaluation_batches(self.dataset, self.config, "validation", size)
        validation = Validation(self.model, batches)
        return validation if len(validation) else None

    def show_examples(self, board: TensorBoardLog, validation: Any) -> None:
        """What TensorBoard shows besides curves."""
        board.examples(self.step, self.model, validation.batches[0])

    def finished_model(self) -> Any:
        """The run's model, from the checkpoint that `train.model` names."""
        model = model_from_checkpoint(self.config, self.folder.weights(self.config), self.build)
        return finished(model, self.config, lambda: self.source.starting_at(self.step), self.progress.say)

    def _introduce(self) -> None:
        for line in unfinished_ramps(self.config):
            self.progress.say(line)
        if self.step:
            self.progress.say(
                f"continuing {self.folder.path} at step {self.step} of {self.config.train.steps}"
            )
            if self.added:
                self.progress.say(self.added)
            kept = keep_former_model(self.folder, self.config, self.step) if self.task.chief else None
            if kept:
                self.progress.say(f"the model of step {self.step} is kept as {kept}")
            return
        counts = self.dataset.counts["train"]
        self.progress.say(
            f"training {self.config.train.steps} steps on {counts['recordings']} recordings and "
            f"{counts['pictures']} pictures, {self.model.count_params():,} weights"
        )

    def _following(self, monitor: str) -> BestSoFar:
        """Nothing seen yet of a figure; validations before the codes start do not count."""
        start = self.config.schedule.quantize_from + 1 if self.coded else 0
        return BestSoFar(monitor, self.config.train.early_stop, start)

    def _monitor(self, lines: Sequence[Mapping[str, Any]]) -> str:
        """The figure that decides: the loss in place of the default one that the data does not give."""
        wanted = self.config.train.monitor
        counts = self.dataset.counts.get("validation", {})
        before = [line for line in lines if line["split"] == "validation"][:1]
        there = counts.get("recordings") and counts.get("pictures") and all(wanted in line for line in before)
        return wanted if there or wanted != USUAL_MONITOR else "loss"

    def _checked_validation(self) -> Any:
        """The validation, once it is known to give the figure that decides: before any work is done.

        Raises:
            UserError: `train.monitor` is none of its figures; lists them.
        """
        validation = self.validation()
        if not validation:
            return None
        figures = validation.figures()
        wanted = self.config.train.monitor
        if wanted not in figures and wanted == USUAL_MONITOR:
            if self.best.monitor != "loss":
                self.best = self._following("loss")
            self.progress.say(
                f"validation has no {wanted} on this data: the loss tells which model is the best"
            )
        self.best.check(figures)
        return validation

    def _finished(self) -> bool:
        return self.step >= self.config.train.steps or self.best.exhausted

    def _loop(self, validation: Any) -> None:
        config, train = self.config, self.config.train
        runner = StepRunner(self.model, self.strategy, self.batches(), train.jit_compile)
        board = self._board()
        window = Window()
        rate = 0.0  # steps per second
        with stop_on_signals() as stop, self.progress.running(self.step):
            while True:
                agreed = self.cluster.agree(stop.number, self._burst(rate), self._finished())
                if agreed.signal or agreed.ended:
                    break
                if self.step == config.schedule.quantize_from and self.step and self.coded:
                    self._start_codebook()
                started = time.monotonic()
                values = runner.run(agreed.steps)
                spent = time.monotonic() - started
                # The first call also compiles: no measure of speed.
                rate = len(values) / spent if rate or len(values) > 1 else 1e-9
                check_terms(runner.names, values, self.step + 1, self.checkpoints.last_path)
                self.step += len(values)
                window.add(values, spent)
                if self._due(LOG_EVERY):
                    figures = window.take(runner.names)
                    self._write("train", figures, board)
                    self.progress.trained(self.step, figures)
                if validation and self._due(train.validate_every):
                    self._validate(validation, board)
                if self._due(train.checkpoint_every) or self._finished() or stop.number is not None:
                    self._save()
        if agreed.signal and not agreed.ended:
            self._save()
            raise Interrupted(agreed.signal, self.step)

    def _save(self) -> None:
        path = self.checkpoints.last_path
        if path is None or not path.endswith(f"-{self.step}"):
            check_variables(self.model.variables, self.step, path)
            self.checkpoints.save()

    def _follow_chief(self, optimizers: Sequence[Any] = ()) -> None:
        """Takes over the chief's variables, where this process is another one."""
        self.cluster.take_from_chief([*self.model.variables, *(v for o in optimizers for v in o.variables)])
        self.step = step_of(self.model)

    def _burst(self, rate: float) -> int:
        """Steps up to the next one after which something is due, fewer where steps are slow."""
        train = self.config.train
        periods = [LOG_EVERY, train.validate_every, train.checkpoint_every]
        stops = [self.step + period - self.step % period for period in periods]
        if self.coded and self.step < self.config.schedule.quantize_from:
            stops.append(self.config.schedule.quantize_from)
        return max(1, min(min(*stops, train.steps) - self.step, int(rate * BURST)))

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.config.train.steps

    def _board(self) -> TensorBoardLog | None:
        if not self.config.train.tensorboard:
            return None
        from vqmm.training.tensorboard_log import TensorBoardLog  # brings librosa and matplotlib

        return TensorBoardLog(self.folder.tensorboard, self.config)

    def _validate(self, validation: Any, board: TensorBoardLog | None) -> None:
        figures = validation.figures()
        check_terms(list(figures), np.array([list(figures.values())]), self.step, self.checkpoints.last_path)
        best = self.best.see(self.step, figures)
        if best:
            check_variables(self.model.variables, self.step, self.checkpoints.last_path)
            self.checkpoints.save_best()
        self._write("validation", figures, board)
        if board:
            self.show_examples(board, validation)
        self.progress.validated(self.step, figures, best)

    def _teach_perceiver(self) -> None:
        """Before the first step, where the config wants features that know the data."""
        wanted = self.config.loss.features == "taught" and isinstance(self.model, VQGAN)
        if not wanted or self.model.perceiver is None:
            return
        held = self.dataset.counts["train"]["pictures"]
        if not held:
            self.progress.say("no perceptual features are taught: the data has no pictures to judge by them")
            return
        batches = self.source.starting_at(0).take(TEACHING_BATCHES)
        taught = teach_perceiver(self.model.perceiver, batches, held, seed=self.config.seed)
        told = f"they tell {taught.accuracy:.0%} of quarter turns, guessing {1 / TURNS:.0%}"
        self.progress.say(f"perceptual features taught: {told}")

    def _start_codebook(self) -> None:
        if self.task.chief:
            self.progress.say("placing the codes by k-means")
            ahead = self.source.starting_at(self.step).take(self.config.schedule.kmeans_batches)
            start_codebook(self.model, ahead, self.config.seed, self.progress.say)
        self._follow_chief(self.optimizers)

    def _write(self, split: str, figures: Mapping[str, float], board: TensorBoardLog | None) -> None:
        self.log.write(self.step, split, self.seconds + time.monotonic() - self.began, figures)
        if board:
            board.scalars(self.step, split, figures)

    def _finish(self) -> Run:
        self.model = self.finished_model()
        save_model(self.model, self.folder.model)
        return Run(self.config, self.model, self.folder.path, int(self.model.step))
