"""Judging a model on prepared data."""

from vqmm.evaluation.evaluate import evaluate, judge
from vqmm.evaluation.material import Material, Side, gather_material
from vqmm.evaluation.reconstruction import rebuild, waveforms

__all__ = ["Material", "Side", "evaluate", "gather_material", "judge", "rebuild", "waveforms"]
