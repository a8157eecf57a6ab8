"""The report: one HTML file with everything in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import yaml

from vqmm.config import Config
from vqmm.encoding import KINDS
from vqmm.evaluation import Material, Side
from vqmm.evaluation.alignment import coded, continuous_scorer, make_scorers
from vqmm.evaluation.intervals import NOTE
from vqmm.metrics import Scorer, by_item, item_histograms, relevance, top1_confusion
from vqmm.models import VQVAE
from vqmm.report.cards import card, noun_of, rebuilt_pictures, rebuilt_sounds
from vqmm.report.code_plots import agreement_plot, private_codes_plot, shared_codes_plot
from vqmm.report.confusion_plot import confusion_plot
from vqmm.report.curves_plot import curves_plot
from vqmm.report.examples import draw_rows, retrieval_examples
from vqmm.report.figures import duration, interval, number
from vqmm.report.judges import judges_of, trained_with
from vqmm.report.retrieval_plot import retrieval_plot
from vqmm.report.templates import template

TOP = {"image": 6, "audio": 5}  # items shown for a query, by modality of the gallery
MOST_LABELS = 40  # confusion maps with more labels are not legible
VERSIONS = {"Keras": keras.__version__, "TensorFlow": tf.__version__, "NumPy": np.__version__}


def render_report(
    model: Any,
    material: Material,
    figures: Mapping[str, Any],
    config: Config,
    log: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page as HTML, with pictures and sound inside it.

    Args:
        model: a `VQVAE`, `VQGAN` or `VAE`.
        material: what was judged.
        figures: what `judge` said of it.
        config: of the run.
        log: lines of `metrics.jsonl`.
    """
    return template("report.html", number=number, interval=interval, duration=duration).render(
        figures=figures,
        config=config,
        settings=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False),
        codes=noun_of(model),
        labels=material.labels,
        curves=curves_plot(log),
        versions=VERSIONS,
        intervals=NOTE,
        judges=judges_of(figures["generation"], figures["data"]["name"]) if "generation" in figures else [],
        trained_with=trained_with(config),
        **(_codes(model, material, figures) if isinstance(model, VQVAE) else {}),
        **_found(model, material, figures, config),
        **_rebuilt(model, material, figures["reconstruction"], config),
    )


def _codes(model: Any, material: Material, figures: Mapping[str, Any]) -> dict[str, Any]:
    ranges = model.quantizer.ranges
    sides = {name: side.encoded for name, side in material.sides.items()}
    start, stop = ranges["shared"]
    shared = {k: item_histograms(s.shared, stop - start, start).sum(0) for k, s in sides.items()}
    private = {
        name: item_histograms(side.private, ranges[name][1] - ranges[name][0], ranges[name][0]).sum(0)
        for name, side in sides.items()
        if side.private is not None
    }
    return {
        "slots": next(iter(sides.values())).shared.shape[1],
        "shared_codes": stop - start,
        "shared_plot": shared_codes_plot(shared),
        "private_plot": private_codes_plot(private) if private else "",
        "agreement_plot": agreement_plot(np.array(figures["codebook"]["agreement_by_slot"]))
        if "agreement_by_slot" in figures["codebook"]
        else "",
    }


def _scorer(model: Any, query: Side, gallery: Side, layout: str) -> Scorer:
    """The one that the page leads with: by code distance, or by latents where there are no codes."""
    if not isinstance(model, VQVAE):
        return continuous_scorer(query.encoded.embeddings, gallery.encoded.embeddings)
    start, _ = model.quantizer.ranges["shared"]
    table = np.asarray(model.quantizer.table("shared"))
    fine = model.fine_tables()
    asked, answers = (coded(side.encoded, table, start, fine) for side in (query, gallery))
    return make_scorers(asked, answers, table, layout)["code_distance"]


def _found(model: Any, material: Material, figures: Mapping[str, Any], config: Config) -> dict[str, Any]:
    if not material.paired:
        return {"retrieval": "", "heard": [], "seen": [], "confusion": ""}
    audio, image = (material.sides[name] for name in KINDS)
    layout, seed, count = config.model.layout, config.seed, config.evaluate.examples
    groups = relevance(audio.encoded, image.encoded)
    to_image, to_audio = (_scorer(model, *pair, layout) for pair in ((audio, image), (image, audio)))
    labels = material.labels

    def shown(scorer: Any, query: Any, gallery: Any, asked: np.ndarray, answers: np.ndarray) -> list[Any]:
        top = TOP[gallery.encoded.modality]
        return [
            {
                "query": card(model, query, example.row, labels, config),
                "hits": [(card(model, gallery, hit.row, labels, config), hit) for hit in example.hits],
            }
            for example in retrieval_examples(scorer, asked, answers, count, top, seed)
        ]

    confusion = ""
    if groups.kind == "label" and len(labels) <= MOST_LABELS:
        kept = [side._replace(encoded=side.encoded.rows(side.encoded.labels >= 0)) for side in (audio, image)]
        maps = [
            top1_confusion(
                _scorer(model, query, gallery, layout),
                query.encoded.labels,
                gallery.encoded.labels,
                len(labels),
            )
            for query, gallery in (kept, kept[::-1])
        ]
        confusion = confusion_plot(maps[0], maps[1], labels)
    return {
        "retrieval": retrieval_plot(figures["retrieval"]),
        "heard": shown(to_image, audio, image, groups.audio, groups.image),
        "seen": shown(to_audio, image, audio, groups.image, groups.audio),
        "confusion": confusion,
    }


def _rebuilt(model: Any, material: Material, figures: Mapping[str, Any], config: Config) -> dict[str, Any]:
    sides, labels = material.sides, material.labels
    groups = _groups(material)
    count, seed = config.evaluate.examples, config.seed
    found: dict[str, Any] = {"pictures": [], "sounds": []}
    if "image" in sides:
        rows = draw_rows(groups["image"], count, seed)
        alone = "shared_only" in figures["image"]
        partners = None
        if material.paired and config.model.layout == "slots":
            partners = sides["audio"], _partners(groups["image"][rows], groups["audio"], seed)
        found["pictures"] = rebuilt_pictures(model, sides["image"], rows, partners, labels, alone)
    if "audio" in sides:
        rows = draw_rows(groups["audio"], max(count // 2, 1), seed)
        alone = "shared_only" in figures["audio"]
        found["sounds"] = rebuilt_sounds(model, sides["audio"], rows, labels, config, alone)
    return found


def _groups(material: Material) -> dict[str, np.ndarray]:
    """What belongs together, by modality: items where the data pairs items, else labels if there are any."""
    encoded = {name: side.encoded for name, side in material.sides.items()}
    if not material.paired:
        return {name: side.labels.astype("int64") for name, side in encoded.items()}
    judged = (by_item if material.pair_by == "item" else relevance)(encoded["audio"], encoded["image"])
    return {"audio": judged.audio, "image": judged.image}


def _partners(pictures: np.ndarray, recordings: np.ndarray, seed: int) -> np.ndarray:
    """For each picture the row of a recording of its group, -1 where there is none."""
    rng = np.random.default_rng(seed)
    chosen = []
    for group in pictures:
        rows = np.flatnonzero((recordings == group) & (group >= 0))
        chosen.append(int(rng.choice(rows)) if len(rows) else -1)
    return np.array(chosen)
