"""Agreement with no more codes than a pair can agree on."""

from __future__ import annotations

from typing import Any

from keras import ops

from vqmm.config import Loss
from vqmm.losses.weighting import masked_mean

DEFAULTS = Loss()


def agreement_loss(
    audio_scores: Any,
    image_scores: Any,
    paired: Any,
    temperature: float = DEFAULTS.temperature,
    spread: float = DEFAULTS.spread,
) -> Any:
    """Surprise that a pair agrees, less a share of the entropy of the codes in use.

    With p and q the code distributions of a pair's two tokens, softmax(scores /
    temperature), a slot costs

        mean over pairs of -log sum_k p_k q_k  -  spread * H(mean over pairs of (p + q) / 2).

    The first term is the log-probability that both draw the same code; it alone would
    put everything on one code. Codes that split a group of pairs in m parts which
    nobody can foresee from the other side cost log m there and earn `spread` log m:
    with `spread` below 1 they die out, while a split that both sides see costs
    nothing and earns its entropy. So the number of codes in use follows what pairs
    share, whatever the size of the table. (Ji et al. 2019, invariant information
    clustering, has no such limit: mutual information does not fall by idle splits.)

    Args:
        audio_scores, image_scores: f32[B, T, K], cosines of the tokens of a pair with
            the shared codes. Gradients reach the latents and the codes.
        paired: bool[B].
        temperature: of the distributions.
        spread: 0..1, weight of the entropy. A split survives about where the chance of
            disagreeing that it brings costs less than the entropy it adds times this.

    Returns:
        f32 scalar, mean over slots; 0 at one code for all, -spread * log(C) for C codes in
        even use on which all pairs agree.
    """
    logs = [ops.log_softmax(s / temperature, axis=-1) for s in (audio_scores, image_scores)]
    disagreement = masked_mean(-ops.mean(ops.logsumexp(logs[0] + logs[1], axis=-1), axis=1), paired)
    present = ops.cast(paired, "float32")[:, None, None]
    total = ops.maximum(ops.sum(present), 1.0)
    use = ops.sum(0.5 * (ops.exp(logs[0]) + ops.exp(logs[1])) * present, axis=0) / total
    entropy = -ops.mean(ops.sum(use * ops.log(use + 1e-10), axis=-1))
    return disagreement - spread * entropy
