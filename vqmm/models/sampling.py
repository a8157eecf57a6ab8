"""What sampling from logits is made of, each on plain tensors."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

NEVER = -1e9


def still_hidden(step: int, steps: int, count: int) -> int:
    """How many of `count` hidden tokens stay hidden after a step, by the cosine schedule.

    Chang et al. 2022, section 3.3: the share is cos(pi/2 * (step + 1) / steps); at least one token
    becomes known at each step, all after the last.

    Args:
        step: from 0.
        steps: of them all.
        count: hidden before the first.
    """
    left = count
    for done in range(1, step + 2):
        share = math.cos(math.pi / 2 * done / steps) if done < steps else 0.0
        left = max(min(left - 1, math.floor(count * share)), 0)
    return left


def guided(conditional: Any, unconditional: Any, guidance: Any) -> Any:
    """Classifier-free guidance (Ho and Salimans 2022, equation 6): (1 + w) conditional - w unconditional.

    Args:
        conditional, unconditional: logits or log-probabilities of the same shape.
        guidance: w; 0 is no guidance.
    """
    return (1.0 + guidance) * conditional - guidance * unconditional


def only_likely(logits: Any, top_k: int = 0, top_p: float = 1.0) -> Any:
    """Logits f32[..., K] with the less likely choices ruled out.

    Args:
        logits: of the choices.
        top_k: so many of the likeliest stay; 0: all.
        top_p: the likeliest stay until their probabilities add up to this; at least one does
            (nucleus sampling, Holtzman et al. 2020). 1: all.
    """
    choices = logits.shape[-1]
    if 0 < top_k < choices:
        least = ops.top_k(logits, top_k, sorted=True)[0][..., -1:]
        logits = ops.where(logits < least, NEVER, logits)
    if top_p < 1.0:
        ordered = ops.flip(ops.sort(logits, axis=-1), axis=-1)
        shares = ops.softmax(ordered, axis=-1)
        before = ops.cumsum(shares, axis=-1) - shares
        least = ops.min(ops.where(before < top_p, ordered, -NEVER), axis=-1, keepdims=True)
        logits = ops.where(logits < least, NEVER, logits)
    return logits


def gumbel(shape: Any, seed: Any) -> Any:
    """Noise whose argmax over scores draws from their softmax, f32[shape]."""
    draw = keras.random.uniform(shape, minval=1e-9, maxval=1.0, seed=seed)
    return -ops.log(-ops.log(draw))


def drawn(logits: Any, temperature: float, seed: Any) -> Any:
    """A choice from each row of logits f32[..., K], i32[...]; temperature 0 takes the likeliest."""
    if temperature:
        logits = logits / temperature + gumbel(ops.shape(logits), seed)
    return ops.cast(ops.argmax(logits, axis=-1), "int32")


def least_certain(confidence: Any, hidden: Any, keep_hidden: Any) -> Any:
    """Which hidden tokens stay hidden: the `keep_hidden` of them with the lowest confidence.

    Args:
        confidence: f32[B, T].
        hidden: bool[B, T]; only these may stay hidden.
        keep_hidden: i32[B].

    Returns:
        bool[B, T].
    """
    order = ops.argsort(ops.where(hidden, confidence, -NEVER), axis=-1)
    rank = ops.argsort(order, axis=-1)
    return ops.logical_and(hidden, rank < keep_hidden[:, None])
