"""The report: one HTML file with everything in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import yaml

from vqmm.config import Config
from vqmm.evaluation import Material, Side
from vqmm.evaluation.alignment import by_item, coded, continuous_scorer, make_scorers, relevance
from vqmm.metrics import Scorer, item_histograms, top1_confusion
from vqmm.models import VQVAE
from vqmm.report.cards import card, noun_of, rebuilt_pictures, rebuilt_sounds
from vqmm.report.code_plots import agreement_plot, private_codes_plot, shared_codes_plot
from vqmm.report.confusion_plot import confusion_plot
from vqmm.report.curves_plot import curves_plot
from vqmm.report.examples import draw_rows, retrieval_examples
from vqmm.report.figures import duration, interval, number
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
        retrieval=retrieval_plot(figures["retrieval"]),
        curves=curves_plot(log),
        versions=VERSIONS,
        **(_codes(model, material, figures) if isinstance(model, VQVAE) else {}),
        **_found(model, material, config),
        **_rebuilt(model, material, figures["reconstruction"], config),
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
        "slots": material.audio.encoded.shared.shape[1],
        "shared_codes": stop - start,
        "shared_plot": shared_codes_plot(shared["audio"], shared["image"]),
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


def _found(model: Any, material: Material, config: Config) -> dict[str, Any]:
    audio, image = material.audio, material.image
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
        "heard": shown(to_image, audio, image, groups.audio, groups.image),
        "seen": shown(to_audio, image, audio, groups.image, groups.audio),
        "confusion": confusion,
    }


def _rebuilt(model: Any, material: Material, figures: Mapping[str, Any], config: Config) -> dict[str, Any]:
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
        "pictures": rebuilt_pictures(
            model, image, pictures, partners, material.labels, "shared_only" in figures["image"]
        ),
        "sounds": rebuilt_sounds(
            model, audio, sounds, material.labels, config, "shared_only" in figures["audio"]
        ),
    }
