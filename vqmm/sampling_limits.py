"""The values that settings of sampling may have, the same for a config, the command line and the library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vqmm.errors import UserError


class Limit(NamedTuple):
    """The least and the greatest value of a setting, both allowed.

    Attributes:
        low, high: the ends.
        above: the least value itself is not allowed.
    """

    low: float
    high: float
    above: bool = False


# Logits of a trained prior differ by tens. Above these ends nothing changes any more (a temperature of 100
# draws evenly from all codes that are allowed), or float32 ends (a guidance of 1e38).
LIMITS = {
    "temperature": Limit(0.0, 100.0),
    "guidance": Limit(0.0, 100.0),
    "randomness": Limit(0.0, 1000.0),
    "top_p": Limit(0.0, 1.0, above=True),
}


def check_limits(settings: Mapping[str, object], prefix: str = "") -> None:
    """Refuses a setting outside its limits.

    Args:
        settings: values by name, a number or one by modality; those without a limit, and None, are passed
            over.
        prefix: what the user writes before a name: `"--"` on the command line.

    Raises:
        UserError: names the setting, what was received and what is allowed.
    """
    for name, limit in LIMITS.items():
        given = settings.get(name)
        for value in given.values() if isinstance(given, Mapping) else (given,):
            if value is None:
                continue
            low, high, above = limit
            # A NaN is between no two numbers.
            if not isinstance(value, int | float) or not low <= value <= high or (above and value == low):
                shown = f"{prefix}{name.replace('_', '-')} {value}" if prefix else f"{name}={value!r}"
                start = f"above {low:g}" if above else f"from {low:g}"
                raise UserError(f"{shown}: give a finite number {start} to {high:g}")


def check_top_k(top_k: int, choices: Mapping[str, int]) -> None:
    """Refuses to keep more of the likeliest codes than any section has.

    Args:
        top_k: how many are kept; 0 is all.
        choices: by section, how many codes a token chooses from.

    Raises:
        UserError: fewer than 0, or more than the largest section has.
    """
    most = max(choices.values())
    if not 0 <= top_k <= most:
        each = ", ".join(f"{name} {count}" for name, count in choices.items())
        raise UserError(
            f"top_k={top_k}: a token of this prior chooses from at most {most} codes ({each}); "
            f"give 1 to {most}, or 0 for all"
        )
