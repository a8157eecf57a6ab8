"""The index of a model: its shared range as centroids, its codes as items, its latents as queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vqmm.config import Config
from vqmm.data.records import Dataset, Records
from vqmm.data.shards import Modality
from vqmm.encoding import Encoded, codebook_fingerprint, encode_records, vectors_of_codes
from vqmm.errors import UserError
from vqmm.models import VQVAE
from vqmm.retrieval.faiss_index import FaissIndex
from vqmm.retrieval.protocol import Index
from vqmm.retrieval.question import QUERIES, values_of_codes

COLUMNS = ("id", "modality", "split", "label", "caption")


def index_for(model: VQVAE, config: Config, vectors: bool = False) -> FaissIndex:
    """Makes the empty index that fits a model.

    Args:
        model: whose shared range becomes the centroids.
        config: of its run.
        vectors: keep continuous vectors beside the codes, for re-ranking.

    Raises:
        UserError: the model has the grid layout, whose tokens do not correspond between
            a recording and a picture; or its codes have not started.
    """
    if config.model.layout != "slots":
        raise UserError(
            f"this run has model.layout={config.model.layout}: an index compares token i with token i, "
            "which only slots have; train with --set model.layout=slots"
        )
    model.check_codes_started()
    first, _ = model.quantizer.range_of("shared")
    slots = config.model.slots * model.quantizer.part("shared").codes_per_token
    return FaissIndex(
        _directions(model), slots, codebook_fingerprint(model), first, vectors, model.fine_tables()
    )


def add_split(
    index: Index,
    model: VQVAE,
    dataset: Dataset,
    config: Config,
    split: str,
    seen: Callable[[Modality, Records], None] = lambda modality, records: None,
) -> dict[str, int]:
    """Adds all recordings and pictures of a split, with label, caption and further columns.

    An item that stands in another split of the index, where the data has it no longer, moves.

    Args:
        index: to add to.
        model: that encodes the items.
        dataset: that holds them.
        config: of the model's run.
        split: of the data.
        seen: called with the items of each modality before they are added.

    Returns:
        How many of each modality were new; a modality that the split lacks is left out.

    Raises:
        UserError: data prepared otherwise than the config says, an id that is there
            with other codes.
    """
    dataset.check(config)
    held = dataset.split(split)
    added: dict[str, int] = {}
    modalities: tuple[Modality, ...] = ("audio", "image")
    for modality, records in zip(modalities, held, strict=True):
        if not len(records):
            continue
        seen(modality, records)
        encoded = encode_records(model, records, config, modality)
        labels = [dataset.labels[row] if row >= 0 else "" for row in encoded.labels]
        extra = {key for row in records.extra for key in row} - set(COLUMNS)
        metadata = {
            **{key: [row.get(key, "") for row in records.extra] for key in sorted(extra)},
            "label": labels,
            "caption": records.captions.tolist(),
        }
        vectors = query_values(model, encoded) if index.holds_vectors else None
        fine = encoded.fine if index.holds_fine else None
        names = encoded.ids.tolist()
        added[modality] = index.add(encoded.shared, names, modality, split, metadata, vectors, fine)
        copies = index.copies_elsewhere(encoded.shared, names, modality, split, fine)
        for other, ids in copies.items():
            if other in dataset.counts:
                recordings, pictures = dataset.split(other)
                standing = set((recordings if modality == "audio" else pictures).ids)
                if moved := [name for name in ids if name not in standing]:
                    index.remove(moved, modality, other)
    return added


def query_values(model: VQVAE, encoded: Encoded, query: str = "continuous") -> npt.NDArray[np.float32]:
    """Vectors to search with, f32[n, slots, dim].

    Args:
        model: that encoded the queries.
        encoded: the queries.
        query: `"continuous"` takes the latents (the asymmetric score), `"codes"` the
            vectors of their codes, as if the query itself came from the index,
            `"expanded"` spreads each code over those near it (`query_expansion.expanded`).
    """
    table = _directions(model)
    if query == "continuous":
        return vectors_of_codes(encoded, table.shape[1])
    if query not in QUERIES:
        raise UserError(f"query={query!r}; legal: {', '.join(QUERIES)}")
    codes = encoded.shared - model.quantizer.range_of("shared")[0]
    return values_of_codes(codes, table, query)


def _directions(model: VQVAE) -> npt.NDArray[Any]:
    """The shared codes at unit length, as embeddings are; a cosine codebook has that anyway."""
    table = np.asarray(model.quantizer.table("shared"), np.float32)
    return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
