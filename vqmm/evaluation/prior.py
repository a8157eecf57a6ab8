"""Everything that `evaluation.json` says about a prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vqmm.config import Config
from vqmm.data.records import Dataset
from vqmm.encoding import KINDS
from vqmm.evaluation.compared_figures import FORMAT_VERSION
from vqmm.evaluation.cost import cost_section
from vqmm.evaluation.draws import PriorDraws
from vqmm.evaluation.extractors import Extractor, SetJudge
from vqmm.evaluation.generation import generation_section
from vqmm.evaluation.intervals import INTERVALS
from vqmm.evaluation.material import Material, spec_differences
from vqmm.evaluation.memorising import memorising_section
from vqmm.evaluation.reconstruction import waveforms
from vqmm.models import Prior
from vqmm.models.generator import Drawn, Generator


def judge_prior(
    generator: Generator,
    material: Material,
    extractors: Mapping[str, Extractor],
    dataset: Dataset,
    config: Config,
    split: str,
    log: Sequence[Mapping[str, Any]] = (),
    sets: Mapping[str, SetJudge] | None = None,
) -> dict[str, Any]:
    """Judges what a prior draws.

    Args:
        generator: of the prior and its tokenizer.
        material: of the tokenizer, see `gather_material`.
        extractors: of `fit_extractors`.
        dataset: that the material is of.
        config: of the prior's run.
        split: that is judged.
        log: lines of the run's `metrics.jsonl`.
        sets: judges of sets in place of the extractors, see `name_extractors`.

    Returns:
        What is written as `evaluation.json`: `generation` as of any model, and beneath it
        `nearest_training` (see `memorising_section`) by modality.
    """
    prior, settings = generator.prior, generator.sampler.settings
    count, resamples, seed = config.evaluate.generated, config.evaluate.bootstrap, config.seed
    figures: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "intervals": INTERVALS,
        "run": {"name": config.name, "step": int(prior.step), "seed": seed, "kind": prior.kind},
        "codebook": {"fingerprint": prior.fingerprint},
        "sampling": settings._asdict(),
        "data": {
            "name": dataset.name,
            "checksum": dataset.checksum,
            "split": split,
            **{kind: material.sides[name].total for name, kind in KINDS.items()},
            "differences": spec_differences(dataset, config),
        },
    }
    draws = PriorDraws(generator)
    section = generation_section(
        generator.tokenizer,
        material,
        extractors,
        count,
        resamples,
        seed,
        draws,
        lambda mels: waveforms(mels, config),
        sets,
    )
    if draws.drawn is not None:
        section["nearest_training"] = _nearest(prior, draws.drawn, material, resamples, seed)
    return {**figures, "generation": section, "cost": cost_section(log, 0, None)}


def _nearest(prior: Prior, drawn: Drawn, material: Material, resamples: int, seed: int) -> dict[str, Any]:
    parts = prior.tokens.split(drawn.tokens, drawn.sections)
    found = {}
    for name, side in material.sides.items():
        train = material.training.get(name)
        held_out, learned = side.encoded.private, None if train is None else train.encoded.private
        if name in parts and held_out is not None and learned is not None:
            drawn_codes = np.asarray(parts[name])
            found[name] = memorising_section(drawn_codes, held_out, learned, resamples, seed)
    return found
