"""Stops a training run that has gone to NaN, and says where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from vqmm.errors import UserError


class NotFiniteError(UserError):
    """A loss term or a variable is NaN or infinite."""


def check_terms(names: Sequence[str], values: np.ndarray, first_step: int, good: str | None) -> None:
    """Checks the figures of some steps in a row.

    Args:
        names: of the figures.
        values: f[steps, figures].
        first_step: number of the first of the steps.
        good: the last checkpoint; None where there is none.

    Raises:
        NotFiniteError: names the terms and the first step that is not finite.
    """
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    row = int(np.argmax(bad.any(axis=1)))
    found = [(name, value) for name, value, wrong in zip(names, values[row], bad[row], strict=True) if wrong]
    terms = [pair for pair in found if pair[0] != "loss"] or found  # the loss is their sum
    said = ", ".join(f"{name} = {value}" for name, value in terms)
    raise NotFiniteError(f"the loss is not finite: {said} at step {first_step + row}. {_advice(good)}")


def check_variables(variables: Sequence[Any], step: int, good: str | None) -> None:
    """Checks weights before they are saved.

    Raises:
        NotFiniteError: names the first variable that is not finite.
    """
    floats = [v for v in variables if tf.as_dtype(v.dtype).is_floating]
    fine = tf.stack([tf.reduce_all(tf.math.is_finite(v.value)) for v in floats]).numpy()
    if not fine.all():
        name = floats[int(np.argmin(fine))].path
        raise NotFiniteError(f"the variable {name} is not finite after step {step}. {_advice(good)}")


def _advice(good: str | None) -> str:
    kept = f"The last good checkpoint is {good}" if good else "No checkpoint had been saved"
    return (
        f"{kept}. In a new run folder try a smaller train.learning_rate or train.clip_norm, a larger "
        "loss.temperature, train.mixed_precision=false, and look for bad items in the data"
    )
