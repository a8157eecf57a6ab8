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
from vqmm.data.batches import Part, TrainingBatches, paired_evaluation_batches
from vqmm.data.records import Dataset
from vqmm.models import VQGAN, VQVAE, build_model
from vqmm.training.best import BestSoFar
from vqmm.training.checkpoints import Checkpoints, step_of
from vqmm.training.cluster import Cluster, lost_workers_told, task_of
from vqmm.training.codebook_start import start_codebook
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
from vqmm.training.validation import Validation

if TYPE_CHECKING:
    from vqmm.training.tensorboard_log import TensorBoardLog

LOG_EVERY = 20  # steps; figures are fetched from the device no more often than that
TEACHING_BATCHES = 32
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
    with create_run(folder, config, identity(dataset)) as run, precision(config.train):
        deterministic_ops(config.train)
        shown = progress or TrainingProgress(config.train.steps)
        return Training(config, dataset, run, strategy, shown).run()


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
    """

    def __init__(
        self, config: Config, dataset: Dataset, run: RunFolder, strategy: Any, progress: TrainingProgress
    ):
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
        self.best = BestSoFar(
            self._monitor(),
            config.train.early_stop,
            min(config.schedule.quantize_from + 1, config.train.steps) if self.coded else 0,
        )
        self.step = 0
        self.seconds = 0.0  # trained before this process
        self.began = time.monotonic()

    def run(self) -> Run:
        self.step = self.checkpoints.restore() or 0
        for told in self.checkpoints.passed_over:
            self.progress.say(f"a checkpoint cannot be read, the one before it is taken: {told}")
        self.log.rewind(self.step)
        lines = read_metrics(self.folder.metrics)
        self.best.replay(lines)
        self.seconds = lines[-1]["seconds"] if lines else 0.0
        self.began = time.monotonic()
        with lost_workers_told(self.task, self.folder.path):
            facts = {"config": self.config.model_dump_json(), "data": self.dataset.checksum}
            self.cluster.check_same(facts)
            if self.task.chief and not self.step:
                self._teach_perceiver()
            self._follow_chief(self.optimizers)
            if not self.cluster.agree(None, 0, self._finished()).ended:
                self._introduce()
                self._loop()
        if not self.task.chief:
            return Run(self.config, self.model, self.folder.path, self.step)
        return self._finish()

    def build(self) -> Any:
        """The model with fresh weights."""
        return build_model(self.config)

    @cached_property
    def source(self) -> TrainingBatches:
        """The training split, opened once for all who read it."""
        return TrainingBatches(self.dataset, self.config)

    def batches(self) -> tf.data.Dataset:
        """Of training, from the current step on."""
        return self.source.starting_at(self.step, Part(self.task.index, self.task.count))

    def validation(self) -> Any:
        """What measures the model now and then, None where there is nothing to measure it on."""
        if not any(self.dataset.counts.get("validation", {}).values()):
            self.progress.say("the data has no validation split: the last model counts as the best")
            return None
        if self.best.monitor != self.config.train.monitor:
            self.progress.say("the data has no validation pairs: the loss tells which model is the best")
        size = self.config.evaluate.batch_size
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
        if self.step:
            self.progress.say(
                f"continuing {self.folder.path} at step {self.step} of {self.config.train.steps}"
            )
            return
        counts = self.dataset.counts["train"]
        self.progress.say(
            f"training {self.config.train.steps} steps on {counts['recordings']} recordings and "
            f"{counts['pictures']} pictures, {self.model.count_params():,} weights"
        )

    def _monitor(self) -> str:
        """The figure that decides: the loss where `retrieval_map` is asked of data that has no pairs."""
        counts, wanted = self.dataset.counts.get("validation", {}), self.config.train.monitor
        paired = counts.get("recordings") and counts.get("pictures")
        return wanted if paired or wanted != "retrieval_map" else "loss"

    def _finished(self) -> bool:
        return self.step >= self.config.train.steps or self.best.exhausted

    def _loop(self) -> None:
        config, train = self.config, self.config.train
        runner = StepRunner(self.model, self.strategy, self.batches(), train.jit_compile)
        validation = self.validation()
        if validation and not self.step and config.train.monitor != Train.model_fields["monitor"].default:
            self.best.check(validation.figures())  # else a wrong name is told at the first validation
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
