"""Mean average precision of every scorer, both ways, with intervals and chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vqmm.report.theme import COLOURS, MUTED, WIDTH, plot

NAMES = {
    "continuous": "continuous",
    "asymmetric": "asymmetric",
    "code_distance": "code distance",
    "shared_distance": "shared codes alone",
    "exact": "exact",
    "kmeans.code_distance": "k-means, code distance",
    "kmeans.exact": "k-means, exact",
}


def retrieval_plot(retrieval: Mapping[str, Any]) -> str:
    """Data URI of the plot.

    Args:
        retrieval: the section of `evaluation.json`.
    """
    rows = [name for name in NAMES if _figure(retrieval["audio_to_image"], name) is not None]
    with plot(WIDTH, 0.42 * len(rows) + 0.9) as page:
        panels = page.figure.subplots(1, 2, sharey=True)
        for axes, (direction, title, colour) in zip(
            panels,
            (
                ("audio_to_image", "Recording → pictures", COLOURS["audio"]),
                ("image_to_audio", "Picture → recordings", COLOURS["image"]),
            ),
            strict=True,
        ):
            section = retrieval[direction]
            for place, name in enumerate(rows):
                figure = _figure(section, name)
                ours = not name.startswith("kmeans")
                # Of too few queries there is a point alone.
                ends = figure["ci95"] or [figure["value"]] * 2
                axes.plot(ends, [place, place], color=colour, lw=4, alpha=0.35, solid_capstyle="butt")
                axes.plot(figure["value"], place, "o", color=colour, ms=6, mfc=colour if ours else "white")
                axes.annotate(
                    f"{figure['value']:.3f}",
                    (figure["value"], place),
                    (0, 6),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
            chance = section["continuous"]["map"]["chance"]
            axes.axvline(chance, color=MUTED, ls=":", lw=1)
            axes.text(
                chance + 0.01, len(rows) - 0.45, f"chance {chance:.2f}", color=MUTED, fontsize=8, va="bottom"
            )
            axes.set(
                xlim=(0, 1.04), ylim=(len(rows) - 0.4, -0.7), title=title, xlabel="mean average precision"
            )
            axes.set_yticks(range(len(rows)), [NAMES[name] for name in rows])
            axes.grid(axis="y", visible=False)
    return page.uri


def _figure(section: Mapping[str, Any], name: str) -> Any:
    for part in name.split("."):
        if part not in section:
            return None
        section = section[part]
    return section["map"]
