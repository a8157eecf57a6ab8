"""The codes of a batch of items."""

from __future__ import annotations

from typing import Any, NamedTuple


class Codes(NamedTuple):
    """Rows of the joint codebook that stand for the items of one modality.

    Attributes:
        shared: i32[B, T], in the shared range.
        private: i32[B, P] in the modality's own range, row-major over its grid;
            None where there is none, or to decode without.
        fine: i32[B, T], in the table of each slot (`FineCodes`), what shared codes leave for a
            search to rank by; None where the model has none. Nothing is decoded from them.
    """

    shared: Any
    private: Any = None
    fine: Any = None
