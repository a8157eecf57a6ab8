"""Places the codes among the latents when quantization begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from threadpoolctl import threadpool_limits

from vqmm.models import VQVAE
from vqmm.quantizers.distinct import distinct_groups
from vqmm.training.optimizer import restart_moved_rows

MOST_TOKENS = 100  # per code: more make k-means slow, not better


def start_codebook(
    model: VQVAE,
    batches: Iterable[Mapping[str, Any]],
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> None:
    """Places codes by k-means over latents and switches quantization on.

    Every modality gives the same number of latents to a range that it shares. A
    range that the swapped loss has trained from the start keeps its places: its
    codes already lie where the latents are.

    Where there are fewer distinct latents than codes, each of them becomes a code, and the remaining
    codes are empty: they count as idle until they get a place of their own.

    The optimizer begins anew for the codes that it moves: see `restart_moved_rows`.

    Args:
        model: its codebook is changed.
        batches: batch dicts; all of their latents are drawn from.
        seed: of the draw and of k-means.
        say: shows a line, where there are fewer distinct latents than codes.
    """
    before = [variable.numpy() for variable in model.quantizer.trainable_variables]
    trained = {name for name, rule in model.quantizer.update_rules.items() if rule == "gradient"}
    trained = trained if model.weights_of_losses["swapped"] else set()
    rng = np.random.default_rng(seed)
    for name, parts in _latents(model, batches).items():
        start, stop = model.quantizer.ranges[name]
        if name in trained and len(parts) > 1:  # a side alone has no swapped loss
            continue
        share = min(min(map(len, parts)), MOST_TOKENS * (stop - start) // len(parts))
        tokens = np.concatenate([part[rng.permutation(len(part))[:share]] for part in parts])
        model.quantizer.fit(tokens, name, partial(_centres, seed=seed, name=name, say=say))
    model.quantizer.start()
    restart_moved_rows(model, before)


def _centres(
    tokens: np.ndarray, size: int, seed: int, name: str = "", say: Callable[[str], None] | None = None
) -> np.ndarray:
    from sklearn.cluster import KMeans

    _, first = np.unique(distinct_groups(tokens, size), return_index=True)
    if len(first) < size:
        if say is not None:
            say(
                f"{len(tokens)} {name} latents have {len(first)} distinct values for {size} codes: "
                f"{size - len(first)} codes start empty. More varied data or fewer codes would use them all"
            )
        return tokens[np.sort(first)]
    with threadpool_limits(limits=1):  # more threads add their sums in the order in which they end
        return KMeans(size, n_init=1, random_state=seed).fit(tokens).cluster_centers_


def _latents(model: VQVAE, batches: Iterable[Mapping[str, Any]]) -> dict[str, list[np.ndarray]]:
    """Latents f32[n, dim] by range, as a list with one entry for each modality that has any."""

    @tf.function(reduce_retracing=True, autograph=False)
    def encode(batch: Mapping[str, Any]) -> Any:
        outputs = {
            name: model.encoders[name](model.features[name](batch[name]), training=False) for name in names
        }
        return {name: (out.shared, out.private) for name, out in outputs.items()}

    names = tuple(model.input_shapes)
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for batch in batches:
        numbers = {name: value for name, value in batch.items() if value.dtype != tf.string}
        for name, (shared, private) in encode(numbers).items():
            present = np.asarray(batch[f"{name}_mask"])
            ranges = [("shared", shared), (model.private_range(name), private)]
            for where, latents in ranges:
                if where is not None and latents is not None:
                    kept = np.asarray(tf.cast(latents, tf.float32))[present]
                    found.setdefault((where, name), []).append(kept.reshape(-1, kept.shape[-1]))
    together: dict[str, list[np.ndarray]] = {}
    for (where, _), arrays in found.items():
        tokens = np.concatenate(arrays)
        if len(tokens):
            together.setdefault(where, []).append(tokens)
    return together
