"""The model of a run as a file: written whole or not at all, read without running foreign code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from vqmm.config import Config
from vqmm.errors import UserError
from vqmm.models import PairAutoencoder, Prior, Vocoder, build_model, build_vocoder
from vqmm.plain_reason import plain_reason
from vqmm.system_errors import is_exhausted, mend_of
from vqmm.training.checkpoints import checkpoints_in, restore_model
from vqmm.training.precision import precision

log = logging.getLogger("vqmm.training")


def save_model(model: PairAutoencoder | Prior | Vocoder, path: Path) -> None:
    """Writes `model` to `path` (a `.keras` file), replacing it in one move.

    Raises:
        UserError: it cannot be written, as on a full disk; an earlier file is intact.
    """
    part = path.with_name(f"{path.stem}.part.keras")
    try:
        model.save(part)
        part.replace(path)
    except (OSError, tf.errors.OpError) as error:
        part.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {_reason(error)}; {mend_of(error)}") from None


def load_model(path: Path) -> Any:
    """Reads a `.keras` file; layers get the dtype policy that the model was saved with.

    Raises:
        UserError: it is no such file, or a damaged one, or holds another kind of model.
    """
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        mend = f"; {mend_of(error)}" if is_exhausted(error) else ""
        raise UserError(f"cannot read the model {path}: {_reason(error)}{mend}") from None
    if not isinstance(model, (PairAutoencoder, Prior, Vocoder)):
        raise UserError(
            f"{path} holds a {type(model).__name__}; a run's model is a VQVAE, VQGAN, VAE, Prior or Vocoder"
        )
    return model


def model_from_checkpoint(
    config: Config, folders: Sequence[Path], build: Callable[[], Any] | None = None
) -> Any:
    """Builds the model of `config` with the weights of the first checkpoint that can be read.

    What is passed over is told as a warning of the logger `vqmm.training`.

    Args:
        config: of the run.
        folders: of checkpoints, the one that is wanted most first; of each the newest comes first.
        build: makes the model; None: as `build_model` or `build_vocoder` does.

    Raises:
        UserError: none of the folders has one, or all are damaged or do not fit the config.
    """
    paths = [path for folder in folders for path in checkpoints_in(folder)]
    if not paths:
        run = folders[0].parent.parent
        raise UserError(
            f"{run} has neither model.keras nor a checkpoint yet; train it further, then try again"
        )
    with precision(config.train):
        made = build_model if config.vocoder is None else build_vocoder
        model = build() if build else made(config)
    for told in restore_model(model, paths):
        log.warning("a checkpoint cannot be read, the next one is taken: %s", told)
    return model


def _reason(error: Any) -> str:
    return getattr(error, "strerror", None) or plain_reason(error)
