"""From a run and data to `evaluation.json` and `report/index.html`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqmm.atomic import write_atomic
from vqmm.data.records import Dataset
from vqmm.evaluation import gather_material, judge
from vqmm.evaluation.cases import CASES, Cases
from vqmm.evaluation.named_extractor import name_extractors, read_classifiers
from vqmm.report.gallery import gather_gallery, save_gallery
from vqmm.report.page import render_report
from vqmm.training.metrics_log import read_metrics
from vqmm.training.run_folder import Run, RunFolder
from vqmm.training.trained_items import trained_on


def write_evaluation(
    run: Run, dataset: Dataset, split: str, out: Path, named: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Judges a run on a split, and writes figures and report whole or not at all.

    Args:
        run: an open run.
        dataset: prepared data, not necessarily what the run was trained on.
        split: of `dataset`.
        out: folder, made if need be; gets `evaluation.json`, `report/index.html`,
            `report/gallery.npz` and `report/cases.npz`.
        named: by modality the file of a classifier in whose features sets are compared, see
            `read_classifiers`.

    Returns:
        What stands in `evaluation.json`.

    Raises:
        UserError: the data does not fit the run, the split is empty or has nothing that belongs
            together, a classifier cannot be used, or the disk is full.
    """
    log = read_metrics(RunFolder(run.folder).metrics)
    classifiers = read_classifiers(named or {}, run.config)
    material = gather_material(run.model, dataset, run.config, split)
    cases, sets = Cases(), name_extractors(classifiers, run.model, material)
    figures = judge(run.model, material, dataset, run.config, split, log, cases, sets)
    figures["data"]["trained_on"] = trained_on([run], dataset, split)._asdict()
    page = render_report(run.model, material, figures, run.config, log)
    (out / "report").mkdir(parents=True, exist_ok=True)
    save_gallery(gather_gallery(run.model, material, run.config), out / "report" / "gallery.npz")
    cases.save(out / CASES)
    write_atomic(out / "evaluation.json", json.dumps(figures, indent=1, allow_nan=False) + "\n")
    write_atomic(out / "report" / "index.html", page)
    return figures
