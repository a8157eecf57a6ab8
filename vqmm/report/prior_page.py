"""The report of a prior: what it draws, looked at and listened to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vqmm.config import Config
from vqmm.evaluation import Material, waveforms
from vqmm.evaluation.draws import codes_of
from vqmm.evaluation.extractors import Extractor, scaled
from vqmm.evaluation.intervals import NOTE
from vqmm.evaluation.memorising import nearest_training
from vqmm.models.generator import Drawn, Generator
from vqmm.report.cards import Card, card
from vqmm.report.examples import draw_rows
from vqmm.report.figures import duration, interval, number
from vqmm.report.judges import judges_of
from vqmm.report.media import picture_uri, sound_uri
from vqmm.report.templates import template
from vqmm.report.waveform_plot import sound_picture_uri

PAIRS = 12
SOURCES, EACH = 6, 3
NEIGHBOURS = 8


def render_prior_report(
    generator: Generator,
    material: Material,
    extractors: Mapping[str, Extractor],
    figures: Mapping[str, Any],
    config: Config,
) -> str:
    """The page as HTML, with pictures and sound inside it.

    Args:
        generator: of the prior and its tokenizer.
        material: what was judged.
        extractors: whose classifiers say what an item looks like.
        figures: of `judge_prior`.
        config: of the tokenizer's run.
    """
    page = _Page(generator, material, extractors, config)
    return template("prior.html", number=number, interval=interval, duration=duration).render(
        figures=figures,
        judges=judges_of(figures["generation"], figures["data"]["name"]),
        intervals=NOTE,
        pairs=page.pairs(),
        carried=[page.carried("audio", "image"), page.carried("image", "audio")],
        nearest=[page.nearest("image"), page.nearest("audio")],
    )


class _Page:
    def __init__(
        self,
        generator: Generator,
        material: Material,
        extractors: Mapping[str, Extractor],
        config: Config,
    ):
        self.generator = generator
        self.sides = material.sides
        self.training = material.training
        self.labels = material.labels
        self.extractors = extractors
        self.config = config
        self.drawn = generator.unconditional(PAIRS, config.seed + 1)

    def pairs(self) -> list[tuple[Card, Card]]:
        """Drawn together, not chosen."""
        return list(zip(self._cards(self.drawn, "image"), self._cards(self.drawn, "audio"), strict=True))

    def carried(self, source: str, to: str) -> dict[str, Any]:
        """Held-out items and what is made from their shared codes."""
        side = self.sides[source]
        rows = draw_rows(side.encoded.labels, SOURCES, self.config.seed)
        codes = codes_of(side, np.repeat(rows, EACH))
        cards = self._cards(self.generator.across(codes, to, self.config.seed), to)
        given = [card(self.generator.tokenizer, side, row, self.labels, self.config) for row in rows]
        return {
            "source": source,
            "to": to,
            "rows": [(one, cards[n * EACH : (n + 1) * EACH]) for n, one in enumerate(given)],
        }

    def nearest(self, name: str) -> dict[str, Any]:
        """Drawn items beside the training items with most private codes in common."""
        train = self.training.get(name)
        parts = self.generator.prior.tokens.split(self.drawn.tokens, self.drawn.sections)
        if train is None or train.encoded.private is None or name not in parts:
            return {"name": name, "rows": []}
        found = nearest_training(np.asarray(parts[name])[:NEIGHBOURS], train.encoded.private)
        few = Drawn(self.drawn.tokens[:NEIGHBOURS], self.drawn.sections)
        cards = self._cards(few, name)
        model = self.generator.tokenizer
        rows = [
            (one, card(model, train, row, self.labels, self.config), float(equal))
            for one, row, equal in zip(cards, found.rows, found.equal, strict=True)
        ]
        return {"name": name, "rows": rows}

    def _cards(self, drawn: Drawn, name: str) -> list[Card]:
        items = self.generator.decode(drawn, name)
        said = self._said(items, name)
        if name == "image":
            return [Card(title, "", picture_uri(one)) for title, one in zip(said, items, strict=True)]
        rate = self.config.data.audio.sample_rate
        sounds = waveforms(items, self.config)
        return [
            Card(title, "", sound_picture_uri(one, sound), sound_uri(sound, rate))
            for title, one, sound in zip(said, items, sounds, strict=True)
        ]

    def _said(self, items: np.ndarray, name: str) -> list[str]:
        """What the classifier sees in each."""
        extractor = self.extractors.get(name)
        if extractor is None or extractor.kind != "labels":
            return [""] * len(items)
        seen = extractor.probabilities(scaled(items) if name == "audio" else items).argmax(1)
        return [self.labels[i] if i < len(self.labels) else str(i) for i in seen]
