"""The page and the sheets of drawn items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from vqmm.atomic import replacing
from vqmm.config import Config
from vqmm.report.media import picture_uri, sound_uri
from vqmm.report.spectrogram_plot import coloured
from vqmm.report.templates import template
from vqmm.report.waveform_plot import sound_picture_uri
from vqmm.tokens import TokenFile

GAP = 2  # pixels between the items of a sheet
ZOOM = 2
MOST_SHOWN = 200  # items on the page


class Shown(NamedTuple):
    """An item on the page.

    Attributes:
        name: under it.
        picture: data URI of the picture, or of spectrogram and waveform.
        sound: data URI of the recording; "" for a picture.
        wide: whether it is a recording.
    """

    name: str
    picture: str
    sound: str = ""
    wide: bool = False


def looks(model: Any, media: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pictures u8[H, W, C] as they are, recordings f32[samples] as spectrograms u8[mels, frames, 3]."""
    return [one if one.ndim == 3 else coloured(log_mel_of(model, one)) for one in media]


def groups_of(
    model: Any,
    config: Config,
    tokens: Mapping[str, TokenFile],
    media: Mapping[str, Sequence[np.ndarray]],
    sources: Sequence[np.ndarray] = (),
) -> list[dict[str, Any]]:
    """What `render_generated` shows: one group for each source, or one of all pairs.

    Args:
        model: tokenizer.
        config: of its run.
        tokens, media: what was drawn, by modality; as many for each source.
        sources: what was given, as the tokenizer rebuilds it.
    """
    total = len(next(iter(media.values())))
    each = total // max(len(sources), 1)
    groups = []
    for start in range(0, min(total, MOST_SHOWN), each):
        rows = [
            [
                shown(model, config, media[name][row], "" if place else str(tokens[name].ids[row]))
                for place, name in enumerate(media)
            ]
            for row in range(start, min(start + each, start + MOST_SHOWN))
        ]
        given = [shown(model, config, sources[start // each], "given, rebuilt")] if len(sources) else []
        groups.append({"title": "Drawn from it" if given else "Drawn", "sources": given, "rows": rows})
    return groups


def log_mel_of(model: Any, sound: np.ndarray) -> np.ndarray:
    """f32[frames, mels, 1] of what is heard."""
    (length,) = model.input_shapes["audio"]
    padded = np.pad(sound[:length], (0, max(length - len(sound), 0)))
    return np.asarray(model.log_mel(padded[None]))[0]


def shown(model: Any, config: Config, media: np.ndarray, name: str) -> Shown:
    """A picture u8[H, W, C] or a recording f32[samples] as a page shows it."""
    if media.ndim == 3:
        return Shown(name, picture_uri(media.astype("float32") / 255))
    picture = sound_picture_uri(log_mel_of(model, media), media)
    return Shown(name, picture, sound_uri(media, config.data.audio.sample_rate), True)


def render_generated(title: str, facts: Mapping[str, Any], groups: list[dict[str, Any]]) -> str:
    """The page as HTML.

    Args:
        title: of the page.
        facts: how the items were drawn.
        groups: of `groups_of`.
    """
    return template("generated.html").render(title=title, facts=facts, groups=groups)


def write_sheet(path: Path, pictures: list[np.ndarray], columns: int) -> None:
    """One PNG of many pictures u8[H, W, C], enlarged, in rows of `columns`."""
    with replacing(path) as part:
        Image.fromarray(sheet(pictures, columns)).save(part, "PNG")


def sheet(pictures: list[np.ndarray], columns: int) -> np.ndarray:
    """u8[H, W, 3]."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    whole = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, "uint8")
    for number, picture in enumerate(pictures):
        y, x = (number // columns) * (height + GAP), (number % columns) * (width + GAP)
        whole[y : y + height, x : x + width] = picture
    return whole.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
