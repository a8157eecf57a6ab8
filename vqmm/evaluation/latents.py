"""Do the latents of a variational autoencoder say anything?"""

from __future__ import annotations

from typing import Any

import numpy as np

from vqmm.evaluation.material import Material, Side
from vqmm.losses import gaussian_kl
from vqmm.metrics import active_units, bootstrap_figure

BATCH = 256


def latents_section(model: Any, material: Material, resamples: int, seed: int) -> dict[str, Any]:
    """`latents` of `evaluation.json` for a VAE, by modality and kind of latent.

    `active_units` is the share of latents that have not collapsed to the prior, `nats` what an
    item's latents carry.
    """
    return {name: _of(model, side, resamples, seed) for name, side in material.sides.items()}


def _of(model: Any, side: Side, resamples: int, seed: int) -> dict[str, Any]:
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for start in range(0, len(side.inputs), BATCH):
        posterior = model.encode(**{side.encoded.modality: side.inputs[start : start + BATCH]})
        for kind, part in posterior._asdict().items():
            if part is not None:
                means = np.asarray(part.mean)
                nats = np.asarray(gaussian_kl(*part)).sum(axis=(1, 2))
                found.setdefault(kind, []).append((means.reshape(len(means), -1), nats))
    section = {}
    for kind, parts in found.items():
        means, nats = (np.concatenate(column) for column in zip(*parts, strict=True))
        section[kind] = {
            "active_units": active_units(means).to_json(),
            "nats": bootstrap_figure(nats, resamples=resamples, seed=seed).to_json(),
        }
    return section
