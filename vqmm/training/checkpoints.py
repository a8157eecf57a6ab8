"""Checkpoints of a run: everything that the next step depends on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vqmm.errors import UserError

# What TensorFlow raises for a checkpoint that is cut off, gone, or of other variables.
UNREADABLE = (tf.errors.OpError, AssertionError, ValueError, IndexError, RuntimeError)


class Checkpoints:
    """Saves and restores model and optimizer.

    A checkpoint holds every variable: weights, codebook averages, random-generator
    states, the step, and the optimizer's. Files are renamed into place when they
    are complete, and older ones go last, so that a process that dies while writing
    leaves the earlier checkpoint as it was.

    Args:
        folder: of the checkpoints that training continues from.
        best: of the one with the best validation figure.
        model: a `keras.Model` with a `step` variable.
        optimizers: of the model, built.
        keep: how many of the former are kept.

    Attributes:
        passed_over: what `restore` could not read, and why, newest first.
    """

    def __init__(self, folder: Path, best: Path, model: Any, optimizers: Sequence[Any], keep: int):
        self.model = model
        moments = [v.value for optimizer in optimizers for v in optimizer.variables]
        everything = _state(model, optimizer=moments)
        self.passed_over: list[str] = []
        for place in (folder, best):
            _sweep(place)
        self._current: str | None = None
        self._keep = keep
        self._last = tf.train.CheckpointManager(everything, str(folder), max_to_keep=keep)
        self._best = tf.train.CheckpointManager(_state(model), str(best), max_to_keep=1)

    @property
    def last_path(self) -> str | None:
        """The newest checkpoint that training can continue from."""
        return self._current or self._last.latest_checkpoint

    @property
    def best_path(self) -> str | None:
        """The best checkpoint."""
        return self._best.latest_checkpoint

    def save(self) -> None:
        """Writes a checkpoint to continue from. Raises `UserError` where it cannot."""
        self._write(self._last)
        self._current = self._last.latest_checkpoint

    def save_best(self) -> None:
        """Writes the model's part as the best checkpoint. Raises `UserError` where it cannot."""
        self._write(self._best)

    def restore(self) -> int | None:
        """Restores the newest checkpoint that can be read.

        Returns:
            Its step; None when there is no checkpoint.

        Raises:
            UserError: there are checkpoints, but none can be read.
        """
        # Not those that the manager knows: where the clock has gone back, it forgets them.
        found = sorted(Path(self._last.directory).glob("ckpt-*.index"), key=_number, reverse=True)
        paths = [str(path.with_suffix("")) for path in found]
        self.passed_over = []
        for path in paths:
            try:
                # A variable that the checkpoint lacks, or has too many, is an error.
                self._last.checkpoint.restore(path).assert_consumed()
                self._current = path
                return step_of(self.model)
            except UNREADABLE as error:
                self.passed_over.append(f"{path}: {_line(error)}")
        if not paths:
            return None
        raise UserError(
            f"no checkpoint can be read ({'; '.join(self.passed_over)}); "
            f"remove {Path(paths[0]).parent} to start again"
        )

    def _write(self, manager: Any) -> None:
        before = self.last_path if manager is self._last else manager.latest_checkpoint
        try:
            manager.save(checkpoint_number=step_of(self.model))
            _forget_others(manager, self._keep if manager is self._last else 1)
        except (tf.errors.OpError, OSError) as error:
            _sweep(Path(manager.directory))
            intact = f"the earlier one, {before}, is intact" if before else "there is no earlier one"
            raise UserError(
                f"cannot write a checkpoint to {manager.directory} at step {step_of(self.model)}: "
                f"{_line(error)}; {intact}. Free some space and run the same command again"
            ) from None


def step_of(model: Any) -> int:
    """Steps that a model was trained for, under any strategy."""
    return int(np.asarray(model.step))  # int() itself knows no variable with a copy on each replica


def restore_model(model: Any, path: str) -> None:
    """Restores the model's part of a checkpoint.

    Raises:
        UserError: the checkpoint is damaged or is of another model.
    """
    try:
        status = _state(model).restore(path)
        status.assert_existing_objects_matched().expect_partial()
    except UNREADABLE as error:
        raise UserError(f"cannot read the checkpoint {path}: {_line(error)}") from None


def _state(model: Any, **more: Any) -> tf.train.Checkpoint:
    # Listed one by one: Keras does not show random-generator states to TensorFlow.
    return tf.train.Checkpoint(model=[v.value for v in model.variables], **more)


def _number(path: Path) -> int:
    """Step that a checkpoint is named after, 0 for other files."""
    number = path.stem.removeprefix("ckpt-")
    return int(number) if number.isdecimal() else 0


def _sweep(folder: Path) -> None:
    """Removes what an interrupted write left."""
    for path in folder.glob("*_temp"):
        shutil.rmtree(path, ignore_errors=True)
    whole = {path.stem for path in folder.glob("*.index")}
    for path in folder.glob("*.data-*"):
        if path.name.partition(".data-")[0] not in whole:
            path.unlink(missing_ok=True)


def _forget_others(manager: Any, keep: int) -> None:
    """Removes checkpoints that the manager lost sight of, once it has as many as it keeps."""
    held = {Path(path).name for path in manager.checkpoints}
    if len(held) == keep:
        for path in Path(manager.directory).glob("ckpt-*.index"):
            if path.stem not in held:
                path.unlink(missing_ok=True)
        _sweep(Path(manager.directory))


def _line(error: Exception) -> str:
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    text = re.sub(r"\{\{.*?\}\}|\[Op:\w+\]|\S*\.tempstate\d+;", "", text)  # names inside of TensorFlow
    return " ".join(text.split())[:300]
