"""The report: one HTML file with everything in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import yaml

from vqmm.config import Config
from vqmm.evaluation import Material
from vqmm.evaluation.alignment import Coded, by_item, coded, make_scorers, relevance
from vqmm.metrics import item_histograms, top1_confusion
from vqmm.report.cards import card, rebuilt_pictures, rebuilt_sounds
from vqmm.report.code_plots import agreement_plot, private_codes_plot, shared_codes_plot
from vqmm.report.confusion_plot import confusion_plot
from vqmm.report.curves_plot import curves_plot
from vqmm.report.examples import draw_rows, retrieval_examples
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
        model: a `VQVAE`.
        material: what was judged.
        figures: what `judge` said of it.
        config: of the run.
        log: lines of `metrics.jsonl`.
    """
    return template("report.html", number=_number, interval=_interval, duration=_duration).render(
        figures=figures,
        config=config,
        settings=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False),
        slots=material.audio.encoded.shared.shape[1],
        shared_codes=model.quantizer.ranges["shared"][1] - model.quantizer.ranges["shared"][0],
        labels=material.labels,
        retrieval=retrieval_plot(figures["retrieval"]),
        curves=curves_plot(log),
        versions=VERSIONS,
        **_codes(model, material, figures),
        **_found(model, material, config),
        **_rebuilt(model, material, config),
    )


def _codes(model: Any, material: Material, figures: Mapping[str, Any]) -> dict[str, Any]:
    ranges = model.quantizer.ranges
    sides = {"audio": material.audio.encoded, "image": material.image.encoded}
    start, stop = ranges["shared"]
    shared = {k: item_histograms(s.shared, stop - start, start).sum(0) for k, s in sides.items()}
    private = {
        name: item_histograms(side.private, ranges[name][1] - ranges[name][0], ranges[name][0]).sum(0)
        for name, side in sides.items()
        if side.private is not None
    }
    return {
        "shared_plot": shared_codes_plot(shared["audio"], shared["image"]),
        "private_plot": private_codes_plot(private) if private else "",
        "agreement_plot": agreement_plot(np.array(figures["codebook"]["agreement_by_slot"]))
        if "agreement_by_slot" in figures["codebook"]
        else "",
    }


def _sides(model: Any, material: Material) -> tuple[Coded, Coded, np.ndarray]:
    start, stop = model.quantizer.ranges["shared"]
    table = np.asarray(model.quantizer.table("shared"))
    return coded(material.audio.encoded, table, start), coded(material.image.encoded, table, start), table


def _found(model: Any, material: Material, config: Config) -> dict[str, Any]:
    audio, image, table = _sides(model, material)
    layout, seed, count = config.model.layout, config.seed, config.evaluate.examples
    groups = relevance(material.audio.encoded, material.image.encoded)
    to_image = make_scorers(audio, image, table, layout)["code_distance"]
    to_audio = make_scorers(image, audio, table, layout)["code_distance"]
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
        a, b = material.audio.encoded.labels, material.image.encoded.labels
        known = (a >= 0, b >= 0)
        kept = audio.rows(known[0]), image.rows(known[1])
        maps = []
        for query, gallery in ((0, 1), (1, 0)):
            scorer = make_scorers(kept[query], kept[gallery], table, layout)["code_distance"]
            sides = (a[known[0]], b[known[1]])
            maps.append(top1_confusion(scorer, sides[query], sides[gallery], len(labels)))
        confusion = confusion_plot(maps[0], maps[1], labels)
    return {
        "heard": shown(to_image, material.audio, material.image, groups.audio, groups.image),
        "seen": shown(to_audio, material.image, material.audio, groups.image, groups.audio),
        "confusion": confusion,
    }


def _rebuilt(model: Any, material: Material, config: Config) -> dict[str, Any]:
    audio, image = material.audio, material.image
    groups = relevance(audio.encoded, image.encoded)
    if material.pair_by == "item":
        groups = by_item(audio.encoded, image.encoded)
    count, seed = config.evaluate.examples, config.seed
    pictures = draw_rows(groups.image, count, seed)
    partners = None
    if config.model.layout == "slots":
        rng = np.random.default_rng(seed)
        chosen = []
        for group in groups.image[pictures]:
            rows = np.flatnonzero((groups.audio == group) & (group >= 0))
            chosen.append(int(rng.choice(rows)) if len(rows) else -1)
        partners = (audio, np.array(chosen))
    sounds = draw_rows(groups.audio, max(count // 2, 1), seed)
    return {
        "pictures": rebuilt_pictures(model, image, pictures, partners, material.labels),
        "sounds": rebuilt_sounds(model, audio, sounds, material.labels, config),
    }


def _number(figure: Any, digits: int = 3, scale: float = 1.0) -> str:
    value = figure["value"] if isinstance(figure, Mapping) else figure
    return f"{value * scale:,.{digits}f}"


def _interval(figure: Mapping[str, Any], digits: int = 3, scale: float = 1.0) -> str:
    if figure["ci95"] is None:
        return ""
    low, high = (f"{end * scale:,.{digits}f}" for end in figure["ci95"])
    return f"{low} to {high}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{seconds:.1f} s"
