"""What sampling from logits is made of, each on plain tensors."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

SMALLEST = 1.2e-38  # normal float32: what a smaller temperature counts as


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
    """Logits f32[..., K] with minus infinity for the less likely choices.

    First `top_k`, then `top_p` of what that leaves.

    Args:
        logits: of the choices, the temperature applied.
        top_k: so many of the likeliest stay, and what is as likely as the last of them; 0: all.
        top_p: the likeliest stay until their probabilities add up to this; at least one does
            (nucleus sampling, Holtzman et al. 2020). 1: all.
    """
    choices = logits.shape[-1]
    if 0 < top_k < choices:
        least = ops.top_k(logits, top_k, sorted=True)[0][..., -1:]
        logits = ops.where(logits < least, -math.inf, logits)
    if top_p < 1.0:
        ordered = ops.flip(ops.sort(logits, axis=-1), axis=-1)
        shares = ops.softmax(ordered, axis=-1)
        before = ops.cumsum(shares, axis=-1) - shares
        # The first always stays, however small top_p is.
        inside = ops.logical_or(before < top_p, ops.arange(choices) == 0)
        least = ops.min(ops.where(inside, ordered, math.inf), axis=-1, keepdims=True)
        logits = ops.where(logits < least, -math.inf, logits)
    return logits


def gumbel(shape: Any, seed: Any) -> Any:
    """Noise whose argmax over scores draws from their softmax, f32[shape]."""
    draw = keras.random.uniform(shape, minval=1e-9, maxval=1.0, seed=seed)
    return -ops.log(-ops.log(draw))


def drawn(logits: Any, temperature: float, seed: Any, top_k: int = 0, top_p: float = 1.0) -> Any:
    """Samples a choice from each row of logits.

    The temperature is applied first, then `top_k`, then `top_p`, as in Hugging Face transformers: the
    nucleus is one of the probabilities that are sampled from. What these rule out is never chosen.

    Args:
        logits: f32[..., K], finite.
        temperature: divides the logits; 0 takes the likeliest choice, the first of equal ones, and
            draws no random number.
        seed: a `keras.random.SeedGenerator`; not used at temperature 0.
        top_k, top_p: see `only_likely`.

    Returns:
        i32[...].
    """
    if temperature:
        # The likeliest stands at 0: no temperature, however small, makes it infinite.
        scaled = (logits - ops.max(logits, axis=-1, keepdims=True)) / max(temperature, SMALLEST)
        logits = only_likely(scaled, top_k, top_p) + gumbel(ops.shape(logits), seed)
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
    order = ops.argsort(ops.where(hidden, confidence, math.inf), axis=-1)
    rank = ops.argsort(order, axis=-1)
    return ops.logical_and(hidden, rank < keep_hidden[:, None])
