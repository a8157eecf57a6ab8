"""Mean average precision across modalities of codes whose centroids are the codebook, or trained."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import faiss
import numpy as np

from benchmarks.retrieval_data import Floats, Latents, nearest_codes, nearest_fine, nearest_two
from benchmarks.retrieval_engines import BYTES
from vqmm.metrics.ranking import rank_queries


def precision(latents: Latents) -> Iterator[dict[str, Any]]:
    """Rows of the first table: mean average precision in both directions, equal bytes."""
    slots, dim = latents.audio.shape[1:]
    # As many bytes as ours, and as many bits as tell apart the codes that a slot of ours uses.
    codes = nearest_codes(latents.train, latents.codebook)
    used = max(len(np.unique(codes[:, slot])) for slot in range(slots))
    sizes = {
        f"{BYTES} bits a slot": BYTES,
        f"{(bits := max(int(used - 1).bit_length(), 1))} bits a slot": bits,
    }
    trained: dict[str, Any] = {
        name: faiss.ProductQuantizer(slots * dim, slots, bits) for name, bits in sizes.items()
    }
    twice = faiss.ProductQuantizer(slots * dim, 2 * slots, BYTES)  # as many bytes as with fine codes
    for quantizer in (*trained.values(), twice):
        quantizer.train(latents.train.reshape(len(latents.train), -1))

    def by_codebook(values: Floats) -> Floats:
        return latents.codebook[nearest_codes(values, latents.codebook)].reshape(len(values), -1)

    def by_fine_codes(values: Floats) -> Floats:
        codes = nearest_codes(values, latents.codebook)
        fine = np.asarray(latents.fine)[np.arange(slots), nearest_fine(values, codes, latents)]
        return (latents.codebook[codes] + fine).reshape(len(values), -1)

    def by_two_codes(values: Floats) -> Floats:
        return nearest_two(values, latents.codebook).reshape(len(values), -1)

    def by_training(quantizer: Any) -> Callable[[Floats], Floats]:
        return lambda values: quantizer.decode(quantizer.compute_codes(values.reshape(len(values), -1)))

    def as_is(values: Floats) -> Floats:
        return values.reshape(len(values), -1)

    plain = {"codes": by_codebook, "two nearest codes": by_two_codes}
    rivals: list[Any] = list(itertools.product(plain.items(), trained.items()))
    if latents.fine is not None:
        rivals.append((("codes with fine ones", by_fine_codes), (f"2 x {BYTES} bits a slot", twice)))
    sides = {"audio": (latents.audio, latents.audio_labels), "image": (latents.image, latents.image_labels)}
    rng = np.random.default_rng(0)
    for asked, found in (("audio", "image"), ("image", "audio")):
        (queries, labels), (gallery, others) = sides[asked], sides[found]
        # A query without a label, -1, has nothing relevant: `rank_queries` refuses it.
        relevant = (labels[:, None] == others[None]) & (labels[:, None] >= 0)

        def of(
            query: Callable[[Floats], Floats],
            item: Callable[[Floats], Floats],
            sought: Floats = queries,
            held: Floats = gallery,
            relevant: Any = relevant,
        ) -> Any:
            return rank_queries(query(sought) @ item(held).T, relevant).map

        exact = of(as_is, as_is)
        for ((ours, item), (bits, quantizer)), asymmetric in itertools.product(rivals, (True, False)):
            other = by_training(quantizer)
            mine = of(as_is if asymmetric else item, item)
            theirs = of(as_is if asymmetric else other, other)
            draws = rng.integers(0, len(mine), (2000, len(mine)))
            gains = (mine - theirs)[draws].mean(axis=1)
            yield {
                "what": f"cross-modal mAP, {ours} against {bits} trained",
                "size": {"queries": len(queries), "gallery": len(gallery), "slots": slots},
                "direction": f"{asked} to {found}",
                "query": "continuous" if asymmetric else "coded",
                "ours": float(mine.mean()),
                "peer": float(theirs.mean()),
                "ratio_to_peer": float(mine.mean() / theirs.mean()),
                "gain_ci95": np.quantile(gains, (0.025, 0.975)).tolist(),
                "continuous": float(exact.mean()),
            }
