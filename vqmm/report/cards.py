"""Items as the page shows them: a picture, or spectrogram and waveform with a player."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from vqmm.config import Config
from vqmm.evaluation import Side, rebuild, waveforms
from vqmm.models import VQVAE
from vqmm.report.media import picture_uri, sound_uri
from vqmm.report.spectrogram_plot import spectrogram_plot
from vqmm.report.waveform_plot import sound_picture_uri


class Card(NamedTuple):
    """An item of one modality.

    Attributes:
        title: its label, or its id where it has none.
        id: as in the data.
        picture: data URI of the picture, or of spectrogram and waveform.
        sound: data URI of the recording; "" for a picture.
    """

    title: str
    id: str
    picture: str
    sound: str = ""


class RebuiltPicture(NamedTuple):
    """An original and what codes or latents make of it; data URIs.

    Attributes:
        title: label or id.
        original, rebuilt: from all codes.
        shared_only: from shared codes; "" where the model has no private ones.
        across: from the shared codes of a recording that belongs to it; "" where
            there is none, or slots do not correspond.
    """

    title: str
    original: str
    rebuilt: str
    shared_only: str
    across: str


class RebuiltSound(NamedTuple):
    """A recording and what codes make of it; data URIs.

    Attributes:
        title: label or id.
        spectrograms: the original's and the rebuilt ones side by side.
        players: by what they play.
    """

    title: str
    spectrograms: str
    players: dict[str, str]


def noun_of(model: Any) -> str:
    """What the page calls that which a model makes of an item."""
    return "codes" if isinstance(model, VQVAE) else "latents"


def title_of(side: Side, row: int, labels: Sequence[str]) -> str:
    """The label's name, else the id."""
    label = int(side.encoded.labels[row])
    return labels[label] if 0 <= label < len(labels) else str(side.encoded.ids[row])


def card(model: Any, side: Side, row: int, labels: Sequence[str], config: Config) -> Card:
    """The card of an item."""
    title, name = title_of(side, row, labels), str(side.encoded.ids[row])
    if side.encoded.modality == "image":
        return Card(title, name, picture_uri(side.inputs[row]))
    log_mel = np.asarray(model.log_mel(side.inputs[row : row + 1]))[0]
    sound = side.inputs[row]
    return Card(
        title, name, sound_picture_uri(log_mel, sound), sound_uri(sound, config.data.audio.sample_rate)
    )


def rebuilt_pictures(
    model: Any,
    side: Side,
    rows: np.ndarray,
    partners: tuple[Side, np.ndarray] | None,
    labels: Sequence[str],
    alone: bool,
) -> list[RebuiltPicture]:
    """Originals beside what is rebuilt.

    Args:
        model: of any kind.
        side: the pictures.
        rows: i[n], which.
        partners: recordings and, for each picture, the row of one that belongs to it
            (-1 where none does).
        labels: label names.
        alone: whether to show also what the shared codes alone rebuild.
    """
    versions = [side.inputs[rows], rebuild(model, side, rows)]
    versions.append(rebuild(model, side, rows, private=False) if alone else versions[1])
    if partners is not None:
        other, partner = partners
        versions.append(np.asarray(model.reconstruct(other.inputs[partner], "audio", to="image")))
    return [
        RebuiltPicture(
            title_of(side, row, labels),
            picture_uri(versions[0][i]),
            picture_uri(versions[1][i]),
            picture_uri(versions[2][i]) if alone else "",
            picture_uri(versions[3][i]) if partners is not None and partners[1][i] >= 0 else "",
        )
        for i, row in enumerate(rows)
    ]


def rebuilt_sounds(
    model: Any, side: Side, rows: np.ndarray, labels: Sequence[str], config: Config, alone: bool
) -> list[RebuiltSound]:
    """Recordings beside what is rebuilt; sound from spectrograms by Griffin-Lim. Arguments as above."""
    mels = {"original": np.asarray(model.log_mel(side.inputs[rows])), "rebuilt": rebuild(model, side, rows)}
    if alone:
        mels[f"shared {noun_of(model)} alone"] = rebuild(model, side, rows, private=False)
    rate = config.data.audio.sample_rate
    sounds = {f"{name}, by Griffin-Lim": waveforms(values, config) for name, values in mels.items()}
    found = []
    for i, row in enumerate(rows):
        players = {"recording": sound_uri(side.inputs[row], rate)}
        players |= {name: sound_uri(values[i], rate) for name, values in sounds.items()}
        drawn = spectrogram_plot({name: values[i] for name, values in mels.items()}, config)
        found.append(RebuiltSound(title_of(side, row, labels), drawn, players))
    return found
