"""Is the codebook in good health, and do the modalities share it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vqmm.data.pairing import Pairing
from vqmm.evaluation.material import Material
from vqmm.metrics import (
    bag_agreement,
    code_figures,
    item_histograms,
    label_entropy,
    pair_agreement,
    pair_information,
    sharing_figures,
)


def codebook_section(
    material: Material,
    ranges: Mapping[str, tuple[int, int]],
    layout: str,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """`codebook` of `evaluation.json`.

    The figures at its top are of the shared range, used by both modalities together,
    each item counting once. Below: `audio` and `image` (what that modality alone
    makes of the shared range), `ranges` (every range of the table by name). What only pairs
    can show is left out where a modality is missing.

    Args:
        material: what is judged.
        ranges: by name (`"shared"` and private ones), first code and the one after the last.
        layout: `"slots"` or `"grid"`.
        resamples, seed: of the intervals; the seed also draws the pairs.
    """
    start, stop = ranges["shared"]
    sides = {name: side.encoded for name, side in material.sides.items()}
    shared = {name: item_histograms(side.shared, stop - start, start) for name, side in sides.items()}

    def health(histograms: np.ndarray) -> dict[str, Any]:
        figures = code_figures(histograms, resamples, seed)
        tree = {name: figure.to_json() for name, figure in figures._asdict().items()}
        return {**tree, "codes": histograms.shape[1]}

    whole = health(np.concatenate(list(shared.values())))
    section: dict[str, Any] = dict(whole)
    if material.paired:
        sharing = sharing_figures(shared["audio"], shared["image"], resamples, seed)
        section |= {name: figure.to_json() for name, figure in sharing._asdict().items()}
        section |= _pairs(material, stop - start, start, layout, resamples, seed)
    section |= {name: health(histograms) for name, histograms in shared.items()}
    section["ranges"] = {"shared": whole}
    for name, side in sides.items():
        if name in ranges and side.private is not None:
            first, after = ranges[name]
            section["ranges"][name] = health(item_histograms(side.private, after - first, first))
    return section


def _pairs(
    material: Material, size: int, start: int, layout: str, resamples: int, seed: int
) -> dict[str, Any]:
    audio, image = material.sides["audio"].encoded, material.sides["image"].encoded
    by_label = material.pair_by == "label"
    groups = (audio.labels, image.labels) if by_label else (audio.items, image.items)
    pairs = Pairing(groups[0].astype("int64"), groups[1].astype("int64"), seed).epoch(0)
    whole = (pairs.audio >= 0) & (pairs.image >= 0)
    rows = pairs.audio[whole], pairs.image[whole]
    known = groups[0][rows[0]] >= 0
    if not known.any():
        return {}
    left, right = audio.shared[rows[0][known]], image.shared[rows[1][known]]
    if layout == "grid":
        bags = item_histograms(left, size, start), item_histograms(right, size, start)
        return {"pair_agreement": bag_agreement(*bags, resamples, seed).to_json()}
    information: dict[str, Any] = {
        f"{name}_bits": value for name, value in pair_information(left, right)._asdict().items()
    }
    if by_label:
        information["label_entropy_bits"] = label_entropy(audio.labels[rows[0][known]])
    return {
        "pair_agreement": pair_agreement(left, right, resamples, seed).to_json(),
        "agreement_by_slot": (left == right).mean(axis=0).tolist(),
        "pair_information": {**information, "n": len(left)},
    }
