"""The page of `pipelines.compare`: one row a config, and what quality costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vqmm.evaluation.comparison import Spread
from vqmm.metrics import Figure
from vqmm.report.gallery import Gallery
from vqmm.report.media import picture_uri, sound_uri
from vqmm.report.spectrogram_plot import spectrogram_uri
from vqmm.report.templates import template
from vqmm.report.theme import AUDIO, IMAGE, MUTED, WIDTH, plot

QUALITY = {
    "audio to image": ("code distance, audio to image", AUDIO),
    "image to audio": ("code distance, image to audio", IMAGE),
}
COSTS = ("shared bits an item", "training seconds", "peak memory, MiB")


def render_comparison(
    rows: Sequence[Mapping[str, Any]], seeds: int, quality: float, against: str = ""
) -> str:
    """HTML page, whole in itself.

    Args:
        rows: dicts with `what`, `config` and `figures`, a `Spread` by name; `differences` from the
            config `against`, a `Figure` by name; `gallery` and `sample_rate` where there is something
            to look at.
        seeds: number of seeds behind each mean.
        quality: mean average precision that `seconds to quality` tells of.
        against: name of the config that differences are told from.
    """
    names = list(dict.fromkeys(name for row in rows for name in row["figures"]))
    others = [row for row in rows if row.get("differences")]
    compared = list(dict.fromkeys(name for row in others for name in row["differences"]))
    return template("comparison.html", figure=_figure).render(
        title="One config" if len(rows) == 1 else f"{len(rows)} configs compared",
        rows=rows,
        names=names,
        others=[row["what"] for row in others],
        differences={name: [_cell(row["differences"].get(name)) for row in others] for name in compared},
        against=against,
        seeds=seeds,
        quality=quality,
        bars=_bars(rows),
        costs=_costs(rows),
        galleries=_galleries(rows),
    )


def _galleries(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Pictures and players of every config that has a gallery; the originals lead."""
    found: list[dict[str, Any]] = []
    for row in rows:
        gallery, rate = row.get("gallery"), row.get("sample_rate", 0)
        if gallery is None:
            continue
        if not found:
            found.append(_shown("original", gallery, "", rate))
        found.append(_shown(row["what"], gallery, "rebuilt_", rate))
        found[-1]["drawn"] = _shown("", gallery, "drawn_", rate)
    return found


def _shown(what: str, gallery: Gallery, kind: str, rate: int) -> dict[str, Any]:
    parts = gallery._asdict()
    return {
        "what": what,
        "drawn": None,
        "pictures": [picture_uri(x) for x in parts[f"{kind}pictures"]],
        "sounds": [
            (spectrogram_uri(mel), sound_uri(sound, rate))
            for mel, sound in zip(parts[f"{kind}mels"], parts[f"{kind}sounds"], strict=True)
        ],
    }


def _quality(row: Mapping[str, Any], name: str) -> tuple[Spread | None, bool]:
    """The figure and whether it is of codes; a model without codes is judged by its continuous latents."""
    found = row["figures"].get(name)
    if found is not None:
        return found, True
    return row["figures"].get(name.replace("code distance", "continuous")), False


def _bars(rows: Sequence[Mapping[str, Any]]) -> str:
    """mAP by code distance of every config, both ways, with the range over seeds."""
    with plot(WIDTH, 0.9 + 0.42 * len(rows)) as page:
        axes = page.figure.subplots()
        for offset, (label, (name, colour)) in zip((-0.16, 0.16), QUALITY.items(), strict=True):
            for place, row in enumerate(rows):
                spread, codes = _quality(row, name)
                if spread is not None:
                    across = [spread.low, spread.high]
                    axes.plot(across, [place + offset] * 2, color=colour, lw=2.5, alpha=0.45)
                    face = colour if codes else "white"
                    axes.plot(spread.mean, place + offset, "o", color=colour, mfc=face, ms=5)
            axes.plot([], [], "o", color=colour, ms=5, label=label)
        axes.set_yticks(range(len(rows)), [row["what"] for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)  # the first on top
        axes.set_xlabel("mAP by code distance (hollow: continuous latents, no codes), test split")
        axes.legend(loc="lower left", ncols=2, bbox_to_anchor=(0, 1.0))
    return page.uri


def _costs(rows: Sequence[Mapping[str, Any]]) -> str:
    """What every config costs, in the order of `_bars`, with the range over seeds."""
    with plot(WIDTH, 0.7 + 0.26 * len(rows)) as page:
        panels = page.figure.subplots(1, len(COSTS), sharey=True)
        for axes, cost in zip(panels, COSTS, strict=True):
            for place, row in enumerate(rows):
                spread = row["figures"].get(cost)
                if spread is not None:
                    axes.plot([spread.low, spread.high], [place] * 2, color=MUTED, lw=2.5, alpha=0.45)
                    axes.plot(spread.mean, place, "o", color=MUTED, ms=5)
            axes.set_title(cost)
            axes.set_xlim(left=0)
        panels[0].set_yticks(range(len(rows)), [row["what"] for row in rows])
        panels[0].set_ylim(len(rows) - 0.4, -0.6)  # the first on top
    return page.uri


def _figure(spread: Spread | None, seeds: int) -> str:
    if spread is None or math.isnan(spread.mean):
        return "–"
    if math.isinf(spread.mean):
        return "not reached"
    text = f"{spread.mean:.4g}"
    return text if seeds == 1 else f"{text} ({spread.low:.4g}–{spread.high:.4g})"


def _cell(figure: Figure | None) -> dict[str, str]:
    """What a cell says and how it looks: `sure` where the interval leaves out zero."""
    if figure is None or figure.ci95 is None:
        return {"text": "–", "under": "", "kind": ""}
    low, high = figure.ci95
    return {
        "text": f"{figure.value:+.4f}",
        "under": f"{low:+.4f} to {high:+.4f}",
        "kind": "sure" if low > 0 or high < 0 else "",
    }
