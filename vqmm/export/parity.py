"""Whether an exported model gives the codes that the Keras model gives, and why where it does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vqmm.models import VQVAE, Codes

TIE = 1e-5  # of the best similarity: less than float32 arithmetic tells apart
BATCH = 64
DECODED = 128  # items that are decoded as well

# Inputs by name to outputs by name, for any number of items.
Runner = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Reference(NamedTuple):
    """What the Keras model makes of the items of one modality.

    Attributes:
        items: f32[n, ...].
        codes: i32 by name, `shared` and, where there is one, `private`.
        latents: f32 by the same names, what the codes were chosen for.
        decoded: f32[n, ...], from those codes.
    """

    items: npt.NDArray[np.float32]
    codes: dict[str, npt.NDArray[np.int32]]
    latents: dict[str, npt.NDArray[np.float32]]
    decoded: npt.NDArray[np.float32]


def reference(model: VQVAE, modality: str, items: npt.NDArray[np.float32]) -> Reference:
    """Runs the Keras model.

    Args:
        model: with codes.
        modality: of the items.
        items: f32[n, ...], n at least 1.
    """

    def run(batch: Any) -> dict[str, Any]:
        latents = model.encoders[modality](model.features[modality](batch), training=False)
        codes = model.encode(**{modality: batch}, fine=False)
        return {
            **{f"code {name}": value for name, value in codes._asdict().items() if value is not None},
            **{f"latent {name}": value for name, value in latents._asdict().items() if value is not None},
            "decoded": model.decode(codes, modality),
        }

    traced = tf.function(run, input_signature=[tf.TensorSpec((None, *items.shape[1:]), tf.float32)])
    found = _batched(lambda rows: traced(rows["items"]), {"items": items})
    names = [name for name in Codes._fields if f"code {name}" in found]
    return Reference(
        items,
        {name: found[f"code {name}"] for name in names},
        {name: found[f"latent {name}"] for name in names},
        found["decoded"],
    )


def compare(model: VQVAE, wanted: Mapping[str, Reference], run: Callable[[str], Runner]) -> dict[str, Any]:
    """Compares an exported model with the Keras model.

    Args:
        model: the Keras model.
        wanted: by modality.
        run: gives the runner of a signature, by name.

    Returns:
        `agreement`: share of codes that are equal; `shared`: of the shared ones alone;
        `max_abs_diff`: of what is decoded from equal codes; `flips`: codes that differ, by
        reason: `tie` (both are equally near within float32), `rounding` (the second nearest
        for the Keras model), `other`; `signatures`: the same for each, with the `items` compared.
    """
    signatures: dict[str, Any] = {}
    for modality, expected in wanted.items():
        signatures[f"encode_{modality}"] = _codes(
            model, modality, expected, _batched(run(f"encode_{modality}"), {modality: expected.items})
        )
        name = "log_mel" if modality == "audio" else "image"
        few = {key: codes[:DECODED] for key, codes in expected.codes.items()}
        decoded = _batched(run(f"decode_{modality}"), few)[name]
        difference = float(np.abs(decoded - expected.decoded[:DECODED]).max())
        signatures[f"decode_{modality}"] = {"items": len(decoded), "max_abs_diff": difference}
    coded = [found for found in signatures.values() if "codes" in found]
    weights = [found["codes"] for found in coded]
    return {
        "agreement": float(np.average([found["agreement"] for found in coded], weights=weights)),
        "shared": float(
            np.average([found["shared"] for found in coded], weights=[f["items"] for f in coded])
        ),
        "max_abs_diff": max(found.get("max_abs_diff", 0.0) for found in signatures.values()),
        "flips": {reason: sum(found["flips"][reason] for found in coded) for reason in coded[0]["flips"]},
        "signatures": signatures,
    }


def _codes(model: VQVAE, modality: str, expected: Reference, found: Mapping[str, Any]) -> dict[str, Any]:
    flips = {"tie": 0, "rounding": 0, "other": 0}
    equal: dict[str, float] = {}
    for name, codes in expected.codes.items():
        same = codes == found[name]
        equal[name] = float(same.mean())
        if not same.all():
            scope = "shared" if name == "shared" else modality
            for reason, count in _reasons(model, scope, expected.latents[name], codes, found[name]).items():
                flips[reason] += count
    sizes = {name: codes.size for name, codes in expected.codes.items()}
    total = sum(sizes.values())
    return {
        "items": len(expected.items),
        "codes": total,
        "agreement": sum(equal[name] * sizes[name] for name in sizes) / total,
        **equal,
        "flips": flips,
    }


def _reasons(model: VQVAE, scope: str, latents: Any, expected: Any, found: Any) -> dict[str, int]:
    quantizer = model.quantizer
    flipped = np.argwhere(expected != found)
    if quantizer.part(scope).codes_per_token > 1:  # a level's choice hangs on those before it
        return {"other": len(flipped)}
    rows = tuple(flipped.T)
    first = quantizer.range_of(scope)[0]
    scores = np.asarray(quantizer.similarities(tf.convert_to_tensor(latents[rows]), scope))
    best, chosen = (
        np.take_along_axis(scores, (codes[rows] - first)[:, None], axis=1)[:, 0]
        for codes in (expected, found)
    )
    tie = best - chosen <= TIE * np.maximum(np.abs(best), 1.0)
    # How many codes the Keras model has before the chosen one.
    second = (scores > chosen[:, None]).sum(axis=1) == 1
    return {
        "tie": int(tie.sum()),
        "rounding": int((second & ~tie).sum()),
        "other": int((~second & ~tie).sum()),
    }


def _batched(run: Runner, inputs: Mapping[str, Any]) -> dict[str, Any]:
    count = len(next(iter(inputs.values())))
    parts: list[Mapping[str, Any]] = []
    for start in range(0, count, BATCH):
        parts.append(run({name: value[start : start + BATCH] for name, value in inputs.items()}))
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}
