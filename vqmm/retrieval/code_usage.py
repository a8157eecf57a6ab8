"""How many of its codes an index uses, and a warning where they are too few to tell items apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vqmm.retrieval.code_scan import CodeScan, Packed

BLOCK = 2**20  # items that are unpacked at a time
FEW = 3  # codes in use, or a quarter of the codebook: no more than these, and most slots are alike


class CodeUsage(NamedTuple):
    """Codes that the items of an index have.

    Attributes:
        in_use: different shared codes that items have.
        codes: size of the shared codebook.
        items: in the index.
        are_alike: whether all items have the same codes, slot by slot; of one item, no.
    """

    in_use: int
    codes: int
    items: int
    are_alike: bool

    def __str__(self) -> str:
        return f"codes in use: {self.in_use} of {self.codes}"

    @property
    def warning(self) -> str | None:
        """Says what is wrong with the model and how to mend it, in one line; None where nothing is."""
        enough = self.items < 2 or self.in_use > min(FEW, self.codes // 4)
        if enough and not self.are_alike:
            return None
        effect = (
            "all items have the same codes, and every query is answered alike"
            if self.are_alike
            else "items can hardly be told apart"
        )
        return (
            f"{self}: {effect}; the model's codebook has collapsed: train it longer or with other losses, "
            "evaluate it, and index anew"
        )


def code_usage_of(scan: CodeScan, packed: Packed) -> CodeUsage:
    """Counts the shared codes that items have.

    Args:
        scan: of the codebook.
        packed: u8[n, bytes], codes of the items.
    """
    counts = np.zeros(len(scan.codebook), np.int64)
    are_alike = len(packed) > 1
    first = scan.unpack(packed[:1])
    for start in range(0, len(packed), BLOCK):
        codes = scan.unpack(packed[start : start + BLOCK])
        counts += np.bincount(codes.ravel(), minlength=len(counts))
        are_alike = are_alike and bool((codes == first).all())
    return CodeUsage(int(np.count_nonzero(counts)), len(counts), len(packed), are_alike)
