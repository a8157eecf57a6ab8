"""Fine codes for a model whose training is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from threadpoolctl import threadpool_limits

from vqmm.models import VQVAE, remade
from vqmm.phase_progress import PhaseProgress
from vqmm.quantizers import FineCodes

ITEMS_PER_CODE = 16  # of each modality
BATCH = 2048  # latents that k-means sees at a time


def with_fine_codes(model: VQVAE, batches: Iterable[Mapping[str, Any]], codes: int, seed: int = 0) -> VQVAE:
    """The same model with `FineCodes`, placed by k-means among what its shared codes leave.

    Both modalities give as many latents, or one alone where the other is missing. Batches of
    training, altered as training alters them, do better than the recordings as they are: what
    a search will meet is as unlike them.

    Args:
        model: with one shared code for each slot.
        batches: batch dicts, which are read until they had `ITEMS_PER_CODE` rows a code or no more come.
        codes: rows of each slot's table; fewer where there are fewer different latents.
        seed: of k-means.
    """
    from sklearn.cluster import MiniBatchKMeans

    residuals = _residuals(model, batches, codes * ITEMS_PER_CODE)
    parts = [part for part in residuals.values() if len(part)]
    share = min(map(len, parts))
    vectors = np.concatenate([part[:share] for part in parts])
    slots, dim = vectors.shape[1:]
    distinct = min(len(np.unique(vectors[:, slot].round(6), axis=0)) for slot in range(slots))
    size = min(codes, distinct)
    tables = []
    progress = PhaseProgress("placing fine codes", "slots", slots)
    with progress, threadpool_limits(limits=1):  # the same sums in the same order on every machine
        for slot in range(slots):
            means = MiniBatchKMeans(size, n_init=1, batch_size=BATCH, random_state=seed)
            tables.append(means.fit(vectors[:, slot]).cluster_centers_)
            progress.advance()
    fine = FineCodes(slots, size, dim, name="fine")
    fine.tables.assign(np.stack(tables))
    return remade(model, fine=fine)


def _residuals(model: VQVAE, batches: Iterable[Mapping[str, Any]], most: int) -> dict[str, np.ndarray]:
    """What shared codes leave, f32[n, slots, dim] by modality."""
    names = tuple(model.input_shapes)

    @tf.function(reduce_retracing=True, autograph=False)
    def residuals(batch: Mapping[str, Any]) -> dict[str, Any]:
        return {name: model.residual(**{name: batch[name]}) for name in names}

    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    rows = 0
    with PhaseProgress("encoding items for fine codes", "items", most) as progress:
        for batch in batches:
            for name, part in residuals({name: batch[name] for name in names}).items():
                found[name].append(part.numpy()[np.asarray(batch[f"{name}_mask"])])
            rows += len(batch[names[0]])
            progress.reach(min(rows, most))
            if rows >= most:  # counted with those that lack a modality: there may be no other
                break
    return {name: np.concatenate(parts) for name, parts in found.items()}
