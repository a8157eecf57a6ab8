"""From a prior's run and data to `evaluation.json` and `report/index.html`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqmm.atomic import write_atomic
from vqmm.data.records import Dataset
from vqmm.errors import UserError
from vqmm.evaluation import gather_material
from vqmm.evaluation.extractors import fit_extractors
from vqmm.evaluation.material import check_paired
from vqmm.evaluation.named_extractor import name_extractors, read_classifiers
from vqmm.evaluation.prior import judge_prior
from vqmm.generation import settings_of
from vqmm.models.generator import Generator
from vqmm.report.prior_page import render_prior_report
from vqmm.training.metrics_log import read_metrics
from vqmm.training.prior_run import PriorRun
from vqmm.training.run_folder import RunFolder
from vqmm.training.trained_items import trained_on


def write_prior_evaluation(
    opened: PriorRun, dataset: Dataset, split: str, out: Path, named: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Judges a prior on a split, and writes figures and report whole or not at all.

    Args:
        opened: prior and tokenizer.
        dataset: prepared data, not necessarily what the prior was trained on.
        split: of `dataset`.
        out: folder, made if need be; gets `evaluation.json` and `report/index.html`.
        named: by modality the file of a classifier in whose features sets are compared, see
            `read_classifiers`.

    Returns:
        What stands in `evaluation.json`.

    Raises:
        UserError: the data does not fit the run, the split lacks a modality, there are too few
            items to teach a judge, a classifier cannot be used, or the disk is full.
    """
    run, tokenizer = opened.run, opened.tokenizer
    config = run.config
    judged = tokenizer.config.model_copy(update={"evaluate": config.evaluate, "seed": config.seed})
    if not config.evaluate.generated:
        raise UserError("evaluate.generated=0: nothing would be drawn; set it to 100 or more")
    check_paired(dataset, split)
    classifiers = read_classifiers(named or {}, judged)
    material = gather_material(tokenizer.model, dataset, judged, split)
    extractors = fit_extractors(tokenizer.model, material, judged.seed)
    sets = name_extractors(classifiers, tokenizer.model, material)
    if not (extractors or sets):
        raise UserError(f"{dataset.folder} has too few items to teach a classifier that could judge")
    generator = Generator(run.model, tokenizer.model, settings_of(opened.spec.sampling))
    log = read_metrics(RunFolder(run.folder).metrics)
    figures = judge_prior(generator, material, extractors, dataset, config, split, log, sets)
    figures["data"]["trained_on"] = trained_on([run, tokenizer], dataset, split)._asdict()
    page = render_prior_report(generator, material, extractors, figures, judged)
    (out / "report").mkdir(parents=True, exist_ok=True)
    write_atomic(out / "evaluation.json", json.dumps(figures, indent=1, allow_nan=False) + "\n")
    write_atomic(out / "report" / "index.html", page)
    return figures
