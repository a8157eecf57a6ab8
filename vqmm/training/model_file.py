"""The model of a run as a file: written whole or not at all, read without running foreign code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from vqmm.config import Config
from vqmm.errors import UserError
from vqmm.models import PairAutoencoder, Prior, Vocoder, build_model, build_vocoder
from vqmm.training.checkpoints import restore_model
from vqmm.training.precision import precision


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
        raise UserError(f"cannot write {path}: {_reason(error)}; free some space and run again") from None


def load_model(path: Path) -> Any:
    """Reads a `.keras` file.

    Raises:
        UserError: it is no such file, or a damaged one, or holds another kind of model.
    """
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"cannot read the model {path}: {_reason(error)}") from None
    if not isinstance(model, (PairAutoencoder, Prior, Vocoder)):
        raise UserError(
            f"{path} holds a {type(model).__name__}; a run's model is a VQVAE, VQGAN, VAE, Prior or Vocoder"
        )
    return model


def model_from_checkpoint(
    config: Config, folders: Sequence[Path], build: Callable[[], Any] | None = None
) -> Any:
    """Builds the model of `config` with the weights of the first folder that has a checkpoint.

    Args:
        config: of the run.
        folders: of checkpoints.
        build: makes the model; None: as `build_model` or `build_vocoder` does.

    Raises:
        UserError: none of the folders has one, or it does not fit the config.
    """
    for folder in folders:
        path = tf.train.latest_checkpoint(folder)
        if path is not None:
            with precision(config.train):
                made = build_model if config.vocoder is None else build_vocoder
                model = build() if build else made(config)
            restore_model(model, path)
            return model
    run = folders[0].parent.parent
    raise UserError(f"{run} has neither model.keras nor a checkpoint yet; train it further, then try again")


def _reason(error: Any) -> str:
    return " ".join(str(getattr(error, "strerror", None) or getattr(error, "message", None) or error).split())
