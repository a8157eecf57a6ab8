"""How codes are used: shared by both modalities, private by one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vqmm.report.theme import COLOURS, MUTED, NEUTRAL, WIDTH, plot

NAMES = {"audio": "recordings", "image": "pictures"}


def shared_codes_plot(counts: Mapping[str, np.ndarray]) -> str:
    """Data URI: share of each shared code, recordings upwards, pictures downwards; one alone upwards.

    Args:
        counts: by modality, i[K].
    """
    shares = {name: 100 * found / max(found.sum(), 1) for name, found in counts.items()}
    order = np.argsort(-sum(shares.values()), kind="stable")
    size, signs = len(order), dict(zip(shares, (1, -1), strict=False))
    with plot(WIDTH, 2.9) as page:
        axes = page.figure.subplots()
        for name, sign in signs.items():
            axes.bar(
                range(size), sign * shares[name][order], width=0.85, color=COLOURS[name], label=NAMES[name]
            )
        axes.axhline(0, color="#9aa3b0", lw=0.8)
        for sign in signs.values():
            axes.axhline(sign * 100 / size, color=MUTED, ls=":", lw=1, label="even use" if sign > 0 else None)
        if size <= 40:
            axes.set_xticks(range(size), [str(code) for code in order])
        axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        axes.set(xlabel="shared code, most used first", ylabel="share of tokens, %", xlim=(-0.7, size - 0.3))
        axes.margins(y=0.18)
        axes.grid(axis="x", visible=False)
        axes.legend(ncols=3, loc="upper right")
    return page.uri


def private_codes_plot(counts: Mapping[str, np.ndarray]) -> str:
    """Data URI: share of each private code, most used first, one panel per range.

    Args:
        counts: by modality, i[K].
    """
    with plot(WIDTH, 2.4) as page:
        panels = page.figure.subplots(1, len(counts), squeeze=False)[0]
        for axes, (name, column) in zip(panels, counts.items(), strict=True):
            shares = 100 * np.sort(column)[::-1] / max(column.sum(), 1)
            axes.fill_between(range(len(shares)), shares, step="mid", color=COLOURS[name], alpha=0.85, lw=0)
            axes.axhline(100 / len(shares), color=MUTED, ls=":", lw=1)
            unused = int((column == 0).sum())
            axes.set(
                title=f"Private codes of {NAMES[name]}: {len(column) - unused} of {len(column)} in use",
                xlabel="code, most used first",
                ylabel="share of tokens, %",
                xlim=(-0.5, len(shares) - 0.5),
                ylim=(0, None),
            )
    return page.uri


def agreement_plot(per_slot: np.ndarray) -> str:
    """Data URI: share of pairs with equal codes, slot by slot, f[T]."""
    with plot(WIDTH / 2, 2.4) as page:
        axes = page.figure.subplots()
        axes.bar(range(1, len(per_slot) + 1), 100 * per_slot, width=0.7, color=NEUTRAL)
        if len(per_slot) <= 16:
            axes.set_xticks(range(1, len(per_slot) + 1))
        axes.set(
            title="Agreement of pairs, slot by slot", xlabel="slot", ylabel="equal codes, %", ylim=(0, 100)
        )
        axes.grid(axis="x", visible=False)
    return page.uri
