"""Search by shared codes: the codebook is the index."""

from vqmm.retrieval.faiss_index import FaissIndex
from vqmm.retrieval.protocol import Hits, Index, Item

__all__ = ["FaissIndex", "Hits", "Index", "Item"]
