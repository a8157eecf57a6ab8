"""What training took and what an item costs to keep."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vqmm.metrics import Figure

NOUNS = {"audio": "recording", "image": "picture"}


def cost_section(
    log: Sequence[Mapping[str, Any]],
    slots: int,
    codes: int | None,
    bits: Mapping[str, float] | None = None,
    fine: int = 0,
) -> dict[str, Any]:
    """`cost` of `evaluation.json`.

    Nothing here is sampled, so that no figure has an interval. Times are left out
    where the run has no log.

    Args:
        log: lines of the run's `metrics.jsonl`.
        slots: shared codes of an item; on layout `grid`, where modalities may differ, of a recording.
        codes: that each of them is one of; None for a model without codes.
        bits: of all codes of an item by modality, shared and private: `bits_per_recording` and
            `bits_per_picture`.
        fine: codes that each fine code is one of, beside a shared one; 0 without fine codes. An
            index keeps them, and nothing is decoded from them: they count as `bytes_in_index` alone.
    """
    section = {}
    if codes is not None:
        held = bytes_per_item(slots, codes)
        section["bytes_per_item"] = Figure(float(held), None, 1).to_json()
        section["bits_per_item"] = Figure(slots * math.log2(codes), None, 1).to_json()
        if fine:
            held = bytes_per_item(2 * slots, max(codes, fine))
        section["bytes_in_index"] = Figure(float(held), None, 1).to_json()
        for name, whole in (bits or {}).items():
            section[f"bits_per_{NOUNS[name]}"] = Figure(whole, None, 1).to_json()
    if log and log[-1]["seconds"] > 0:
        last = log[-1]
        section["train_seconds"] = Figure(float(last["seconds"]), None, 1).to_json()
        section["steps_per_second"] = Figure(last["step"] / last["seconds"], None, 1).to_json()
    return section


def bytes_per_item(slots: int, codes: int) -> int:
    """Bytes of an item's shared codes as they are stored: a byte a code up to 256, else packed bits."""
    if codes <= 256:
        return slots
    return math.ceil(slots * math.ceil(math.log2(codes)) / 8)
