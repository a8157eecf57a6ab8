"""The pieces of HTML that the page puts its answers into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from vqmm.app.explorer import Explorer, Found, Media, Query, Rebuilt
from vqmm.data.shards import OTHER
from vqmm.generation import Result
from vqmm.report.code_map_plot import Lit, code_map_plot
from vqmm.report.generated import log_mel_of, shown
from vqmm.report.spectrogram_plot import spectrogram_plot
from vqmm.report.templates import template

NAMES = {"audio": "sound", "image": "picture"}


def hits_html(explorer: Explorer, query: Query, found: Sequence[Found]) -> str:
    """Ranked hits as pictures, or as players with spectrograms."""
    rows = [
        {"caption": ""}
        | hit.row
        | {
            "shown": shown(explorer.model, explorer.config, hit.media, f"hit {hit.row['rank']}"),
            "equal": int((query.tokens.shared[0] == hit.codes).sum()),
            "slots": len(hit.codes),
        }
        for hit in found
    ]
    note = "" if explorer.holds_files else "Without --data, hits are drawn from their codes."
    note = " ".join(text for text in (note, query.remarks()) if text)
    return _part(note).hits(rows, explorer.index.slots)


def codes_html(explorer: Explorer, query: Query, best: Found) -> str:
    """The codes of a query beside those of its best hit, slot by slot, and where they lie in the codebook."""
    modality, other = query.tokens.modality, best.row["modality"]
    pairs = zip(query.tokens.shared[0].tolist(), best.codes.tolist(), strict=True)
    rows = [{"query": ours, "hit": theirs, "equal": ours == theirs} for ours, theirs in pairs]
    first = explorer.index.first
    plot = code_map_plot(
        explorer.map.points,
        explorer.map.usage,
        Lit(f"your {NAMES[modality]}", modality, [row["query"] - first for row in rows]),
        Lit(f"best hit, a {NAMES[other]}", other, [row["hit"] - first for row in rows]),
    )
    equal = sum(row["equal"] for row in rows)
    title = Markup("<h3>{} of {} codes agree</h3>").format(equal, len(rows))
    return title + _part().codes(rows, modality, other) + map_html(explorer, plot)


def map_html(explorer: Explorer, plot: str = "") -> str:
    """The map of the codebook, with nothing lit where no plot is given."""
    plot = plot or code_map_plot(explorer.map.points, explorer.map.usage)
    used = int((explorer.map.usage > 0).sum())
    caption = (
        f"The shared codebook: {len(explorer.map.usage)} codes, {used} in the index. A ring around a disc is "
        "a code that both have; the numbers are slots, in brackets those of the hit alone. The two "
        f"directions hold {100 * explorer.map.share:.0f} % of the variance, so near on the map is not always "
        "near."
    )
    figure = '<img class="vq-plot" src="{}" alt="map of the shared codebook"><p class="vq-quiet">{}</p>'
    return Markup(figure).format(plot, caption)


def rebuilt_html(explorer: Explorer, query: Query, rebuilt: Rebuilt) -> str:
    """An item beside what its codes hold of it; of sounds also the spectrograms, on one scale."""
    modality = query.tokens.modality
    media = {
        f"your {NAMES[modality]}": query.media,
        "from all its codes": rebuilt.whole,
        "from the shared codes alone": rebuilt.gist,
        f"a {NAMES[OTHER[modality]]} from the shared codes": rebuilt.other,
    }
    strip = strip_html(explorer, media, pictures=modality == "image")
    if remarks := query.remarks():
        strip = Markup('<p class="vq-quiet">{}</p>').format(remarks) + strip
    if modality == "image":
        return strip
    own = [query.media, rebuilt.whole, rebuilt.gist]
    titles = ("What the model hears", "From all codes", "From shared codes")
    mels = {title: log_mel_of(explorer.model, one) for title, one in zip(titles, own, strict=True)}
    plot = spectrogram_plot(mels, explorer.config)
    return Markup('<img class="vq-plot wide" src="{}" alt="log-mel spectrograms">').format(plot) + strip


def drawn_html(explorer: Explorer, result: Result) -> str:
    """What a prior drew; the picture and the sound of a pair stand together."""
    items = [
        [
            shown(explorer.model, explorer.config, one, f"{NAMES[name]} {number}")
            for name, one in zip(result.media, parts, strict=True)
        ]
        for number, parts in enumerate(zip(*result.media.values(), strict=True), start=1)
    ]
    return _part().drawn(items)


def strip_html(explorer: Explorer, media: Mapping[str, Media], pictures: bool = True) -> str:
    """Pictures and players by name, side by side; no spectrograms where `pictures` is off."""
    items = [shown(explorer.model, explorer.config, one, name) for name, one in media.items()]
    return _part().strip([item if pictures or not item.wide else item._replace(picture="") for item in items])


def _part(note: str = "") -> Any:
    return template("parts.html", "vqmm.app").make_module({"note": note})
