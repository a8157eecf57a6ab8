"""What a decoder's last layer stands for: values, or a distribution over 256 levels."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

OUTPUTS = ("value", "categorical", "logistic")
LEVELS = 256
COMPONENTS = 4  # of the logistic mixture
SMALLEST_LOG_SCALE = -6.0  # a distribution narrower than a level has nothing to gain


class Mixture(NamedTuple):
    """A mixture of logistic distributions for every sample of a picture.

    Attributes:
        logits, means, log_scales: f32[B, H, W, C, components]; means about 0..1.
    """

    logits: Any
    means: Any
    log_scales: Any


def parameter_count(output: str, channels: int) -> int:
    """Channels that the last layer needs for pictures of so many channels.

    Raises:
        ValueError: for another kind of output.
    """
    if output not in OUTPUTS:
        raise ValueError(f"output={output!r}; legal: {', '.join(OUTPUTS)}")
    each = {"value": 1, "categorical": LEVELS, "logistic": 3 * COMPONENTS}
    return channels * each[output]


def level_logits(parameters: Any) -> Any:
    """Logits f32[B, H, W, C, 256] of a categorical output."""
    return ops.reshape(parameters, (*_place(parameters), -1, LEVELS))


def mixture(parameters: Any) -> Mixture:
    """The mixture of a logistic output; its components start spread over the range."""
    # Five axes and no more: LiteRT cannot slice six.
    parts = ops.reshape(parameters, (*_place(parameters), -1, 3 * COMPONENTS))
    logits, means, logs = (parts[..., n * COMPONENTS : (n + 1) * COMPONENTS] for n in range(3))
    start = (ops.arange(COMPONENTS, dtype="float32") + 0.5) / COMPONENTS
    return Mixture(logits, means + start, ops.maximum(logs - 2.0, SMALLEST_LOG_SCALE))


def expected_value(parameters: Any, output: str) -> Any:
    """Mean of the distribution, f32[B, H, W, C] in 0..1."""
    if output == "categorical":
        levels = ops.arange(LEVELS, dtype="float32") / (LEVELS - 1.0)
        return ops.sum(ops.softmax(level_logits(parameters), axis=-1) * levels, axis=-1)
    found = mixture(parameters)
    means = ops.sum(ops.softmax(found.logits, axis=-1) * found.means, axis=-1)
    return ops.clip(means, 0.0, 1.0)


def _place(parameters: Any) -> tuple[Any, ...]:
    return ops.shape(parameters)[0], *parameters.shape[1:3]
