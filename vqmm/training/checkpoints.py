"""Checkpoints of a run: everything that the next step depends on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vqmm.errors import UserError
from vqmm.plain_reason import plain_reason
from vqmm.system_errors import is_exhausted, mend_of

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
        return self._current or next(iter(checkpoints_in(self._last.directory)), None)

    @property
    def best_path(self) -> str | None:
        """The best checkpoint."""
        return next(iter(checkpoints_in(self._best.directory)), None)

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
        paths = checkpoints_in(self._last.directory)
        found, self.passed_over = first_readable(paths, self._restore)
        if found is not None:
            self._current = found
            return step_of(self.model)
        if not paths:
            return None
        raise UserError(
            f"no checkpoint can be read ({'; '.join(self.passed_over)}); "
            f"remove {Path(paths[0]).parent} to start again"
        )

    def _restore(self, path: str) -> None:
        # A variable that the checkpoint lacks, or has too many, is an error.
        self._last.checkpoint.restore(path).assert_consumed()

    def _write(self, manager: Any) -> None:
        before = self.last_path if manager is self._last else self.best_path
        try:
            manager.save(checkpoint_number=step_of(self.model))
            _forget_others(manager, self._keep if manager is self._last else 1, step_of(self.model))
        except (tf.errors.OpError, OSError) as error:
            _sweep(Path(manager.directory))
            intact = f"the earlier one, {before}, is intact" if before else "there is no earlier one"
            raise UserError(
                f"cannot write a checkpoint to {manager.directory} at step {step_of(self.model)}: "
                f"{plain_reason(error)}; {intact}; {mend_of(error)}"
            ) from None


def step_of(model: Any) -> int:
    """Steps that a model was trained for, under any strategy."""
    return int(np.asarray(model.step))  # int() itself knows no variable with a copy on each replica


def checkpoints_in(folder: str | Path) -> list[str]:
    """The complete checkpoints of a folder, newest first, by the step that each is named after."""
    # Not those of TensorFlow's own list: a process that is killed may leave a checkpoint before the
    # list names it, and where the clock has gone back, older ones are forgotten.
    found = sorted(Path(folder).glob("ckpt-*.index"), key=_number, reverse=True)
    return [str(path.with_suffix("")) for path in found]


def step_in_name(path: str | Path) -> int:
    """The step that a checkpoint of `checkpoints_in` is named after."""
    return _number(Path(path))


def first_readable(paths: Iterable[str], read: Callable[[str], Any]) -> tuple[str | None, list[str]]:
    """Reads one checkpoint after another until one can be read.

    Args:
        paths: of checkpoints, the one that is wanted most first.
        read: restores one, and raises what TensorFlow does.

    Returns:
        The path that could be read, None where none could; what was passed over, and why.

    Raises:
        UserError: no more files may be opened, which says nothing of the checkpoints.
    """
    passed_over: list[str] = []
    for path in paths:
        try:
            read(path)
            return path, passed_over
        except UNREADABLE as error:
            if is_exhausted(error):  # an older one must not be taken for that
                raise UserError(f"cannot read {path}: {plain_reason(error)}; {mend_of(error)}") from None
            passed_over.append(f"{path}: {plain_reason(error)}")
    return None, passed_over


def restore_model(model: Any, paths: Sequence[str]) -> list[str]:
    """Restores the model's part of the first checkpoint that can be read.

    Args:
        model: whose variables are set.
        paths: of checkpoints, the one that is wanted most first.

    Returns:
        What was passed over, and why.

    Raises:
        UserError: all are damaged or of another model.
    """

    def read(path: str) -> None:
        _state(model).restore(path).assert_existing_objects_matched().expect_partial()

    found, passed_over = first_readable(paths, read)
    if found is None:
        raise UserError(
            f"cannot read the checkpoint {'; nor '.join(passed_over)}; "
            f"remove {Path(paths[0]).parent.parent} to start again"
        )
    return passed_over


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


def _forget_others(manager: Any, keep: int, step: int) -> None:
    """Removes checkpoints that the manager lost sight of, once it has as many as it keeps.

    Those of later steps go at once: training has begun again before them.
    """
    held = {Path(path).name for path in manager.checkpoints}
    for path in Path(manager.directory).glob("ckpt-*.index"):
        if _number(path) > step or (len(held) == keep and path.stem not in held):
            path.unlink(missing_ok=True)
    _sweep(Path(manager.directory))
