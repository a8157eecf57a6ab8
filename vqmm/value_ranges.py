"""Defines which values a recording and a picture may have; others are refused at every door."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.errors import UserError


class ValueRange(NamedTuple):
    """Values of the items of a modality.

    Attributes:
        low, high: the range that items are made in.
        tolerance: by which a value may lie outside of it. Pictures that were resampled overshoot a
            little; float recordings may peak up to 6 dB above full scale.
        scaled: which values are usually meant by what lies beyond, and how to mend it.
    """

    low: float
    high: float
    tolerance: float
    scaled: str

    @property
    def accepted(self) -> tuple[float, float]:
        """The least and the greatest value that is not refused."""
        return self.low - self.tolerance, self.high + self.tolerance


VALUE_RANGES = {
    "audio": ValueRange(-1.0, 1.0, 1.0, "divide 16-bit samples by 32768"),
    "image": ValueRange(0.0, 1.0, 0.01, "divide bytes by 255"),
}
KINDS = {"audio": "recordings", "image": "pictures"}


def out_of_range(modality: str, values: npt.NDArray[Any]) -> str | None:
    """Returns why items cannot be meant: what was received, what is allowed, how to mend it; else None.

    The rate of a recording and the order of its channels cannot be seen in its values.

    Args:
        modality: `"audio"` or `"image"`.
        values: numbers of any shape.
    """
    if not values.size:
        return None
    least, most = float(values.min()), float(values.max())
    low, high = VALUE_RANGES[modality].accepted
    if low <= least and most <= high:  # false for NaN
        return None
    if not np.isfinite([least, most]).all():
        return f"{KINDS[modality]} must be finite numbers; received NaN or infinite values"
    return f"{received(modality)} {least:g} to {most:g}"


def received(modality: str) -> str:
    """The refusal of values beyond the range, up to the numbers that were received."""
    values = VALUE_RANGES[modality]
    return (
        f"{KINDS[modality]} have values of {values.low:g} to {values.high:g} ({values.scaled}); "
        "received values of"
    )


def check_values(modality: str, values: Any) -> None:
    """Refuses items whose values cannot be meant.

    Args:
        modality: `"audio"` or `"image"`.
        values: an array or an eager tensor.

    Raises:
        UserError: NaN, infinite, or beyond the range by more than its tolerance.
    """
    reason = out_of_range(modality, np.asarray(values))
    if reason:
        raise UserError(reason)
