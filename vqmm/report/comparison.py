"""The page of `vqmm compare`: one row a config, and what quality costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vqmm.evaluation.compared_figures import FIGURES
from vqmm.evaluation.comparison import Interval, Spread
from vqmm.evaluation.intervals import NOTE
from vqmm.metrics import Figure
from vqmm.report.comparison_plots import costs_plot, quality_plot
from vqmm.report.gallery import Gallery
from vqmm.report.judges import NOUNS, accuracy, described, judged_on
from vqmm.report.media import picture_uri, sound_uri
from vqmm.report.spectrogram_plot import spectrogram_uri
from vqmm.report.templates import template


def render_comparison(
    rows: Sequence[Mapping[str, Any]], seeds: int, quality: float, against: str = "", note: str = ""
) -> str:
    """HTML page, whole in itself.

    Args:
        rows: dicts with `what`, `config` and `figures`, a `Spread` by name; `differences` from the
            config `against`, a `Figure` by name, and `left_out`, why others are not among them;
            `judges`, one a seed, the `generation.extractors` of `evaluation.json`, and `data`, the
            name of the data; `trained_with`, see `vqmm.report.judges`; `finished`, how many seeds
            there are where it is not all; `gallery` and `sample_rate` where there is something to
            look at.
        seeds: number of seeds behind each mean.
        quality: mean average precision that `seconds to quality` tells of.
        against: name of the config that differences are told from.
        note: why the page is not whole.
    """
    names = [name for name in FIGURES if any(name in row["figures"] for row in rows)]
    others = [row for row in rows if row.get("differences")]
    compared = [name for name in FIGURES if any(name in row["differences"] for row in others)]
    return template("comparison.html").render(
        title="One config" if len(rows) == 1 else f"{len(rows)} configs compared",
        note=note,
        rows=rows,
        figures=[
            (
                name,
                FIGURES[name].unit,
                [_figure(row["figures"].get(name), row.get("finished", seeds)) for row in rows],
            )
            for name in names
        ],
        others=[row["what"] for row in others],
        differences=[
            (name, FIGURES[name].unit, [_cell(row["differences"].get(name)) for row in others])
            for name in compared
        ],
        left_out=_left_out(rows),
        against=against,
        intervals=NOTE,
        seeds=seeds,
        quality=quality,
        bars=quality_plot(rows, seeds),
        costs=costs_plot(rows),
        judges=_judges(rows),
        judged=_judged(rows),
        galleries=_galleries(rows),
    )


def _judges(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Each network that judged: of what, which, and of which configs where it is not all of them."""
    found: dict[tuple[str, str], dict[str, bool]] = {}
    for row in rows:
        for judges in row.get("judges", ()):
            for modality, judge in judges.items():
                text = f"{described(judge, modality, row['data'])}; its accuracy is on {judged_on(judge)}"
                found.setdefault((modality, text), {})[row["what"]] = True
    return [
        {"of": NOUNS[modality], "text": text, "configs": "" if len(names) == len(rows) else ", ".join(names)}
        for (modality, text), names in found.items()
    ]


def _judged(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """By config the accuracy of its judges and what measured the loss of a VQGAN."""
    told = []
    for row in rows:
        by_seed = row.get("judges", ())
        right = {
            modality: accuracy([judges[modality] for judges in by_seed if modality in judges])
            for modality in NOUNS
        }
        told.append({"what": row["what"], **right, "trained_with": row.get("trained_with", "")})
    return told if any(row["image"] or row["audio"] or row["trained_with"] for row in told) else []


def _left_out(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Config, figures and the reason why these are not compared."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for name, reason in row.get("left_out", {}).items():
            found.setdefault((row["what"], reason), []).append(name)
    return [(what, "; ".join(names), reason) for (what, reason), names in found.items()]


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


def _figure(spread: Spread | None, seeds: int) -> dict[str, str]:
    """What a cell says: of one seed the value over its interval, of several their mean and range."""
    if spread is None or math.isnan(spread.mean):
        return {"text": "–", "under": ""}
    if math.isinf(spread.mean):
        return {"text": "not reached", "under": ""}
    if seeds == 1:
        under = _interval(spread.ci95[0] if spread.ci95 else None)
        return {"text": f"{spread.mean:.4g}", "under": under or "".join(spread.notes[:1])}
    return {"text": f"{spread.mean:.4g} ({spread.low:.4g}–{spread.high:.4g})", "under": ""}


def _interval(ci95: Interval) -> str:
    return "" if ci95 is None else f"{ci95[0]:.4g} to {ci95[1]:.4g}"


def _cell(figure: Figure | None) -> dict[str, str]:
    """What a cell says and how it looks: `sure` where the interval leaves out zero."""
    if figure is None:
        return {"text": "–", "under": "", "kind": ""}
    if figure.ci95 is None:
        return {"text": f"{figure.value:+.4f}", "under": figure.note, "kind": ""}
    low, high = figure.ci95
    return {
        "text": f"{figure.value:+.4f}",
        "under": f"{low:+.4f} to {high:+.4f}",
        "kind": "sure" if low > 0 or high < 0 else "",
    }
