"""In words: the networks in whose features items were compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqmm.config import Config

NOUNS = {"image": "pictures", "audio": "recordings"}
GUESSED = 25.0  # % of quarter turns that are right by guessing


def described(judge: Mapping[str, Any], modality: str, data: str) -> str:
    """What network that is, what taught it and on what.

    Args:
        judge: an entry of `generation.extractors` or `generation.named` of `evaluation.json`.
        modality: `"image"` or `"audio"`.
        data: name of the data set.
    """
    noun = NOUNS[modality]
    if judge["kind"] == "named":
        told = f"{judge['classes']} classes, fingerprint {judge['fingerprint']}"
        return f"the classifier {judge['path']} ({told})"
    counted = f"{judge['items']:,} " if "items" in judge else ""  # which earlier versions did not keep
    on = f"{counted}{noun} of the training split of {data}"
    if judge["kind"] == "labels":
        labels = f"{judge['classes']} labels" if "classes" in judge else "labels"
        left = (
            f"; {judge['unknown_labels']:,} items of other labels are left out"
            if judge.get("unknown_labels")
            else ""
        )
        return f"a small convolution network taught to tell the {labels} of {on}{left}"
    return f"a small convolution network taught without labels to tell which way up {on} were turned"


def accuracy(judges: Sequence[Mapping[str, Any]]) -> str:
    """How often networks are right, with the range where there are several; "" where nobody knows."""
    known = [100.0 * judge["accuracy"] for judge in judges if judge.get("accuracy") is not None]
    if not known:
        return ""
    low, high = (f"{end:.1f}" for end in (min(known), max(known)))
    guessed = f", guessing {GUESSED:.0f} %" if judges[0]["kind"] == "turns" else ""
    return f"{low if low == high else f'{low} to {high}'} %{guessed}"


def judged_on(judge: Mapping[str, Any]) -> str:
    """What its accuracy was measured on."""
    if judge["kind"] == "turns":
        return "training items kept for the test"
    return "the split that is judged"


def judges_of(generation: Mapping[str, Any], data: str) -> list[dict[str, Any]]:
    """The networks of a run: `of` what, `text`, `accuracy` and what that is `on`; `classes` of a set's.

    Args:
        generation: of `evaluation.json`.
        data: name of the data set.
    """
    found = []
    for modality, noun in NOUNS.items():
        taught = generation["extractors"].get(modality)
        named = generation.get("named", {}).get(modality)
        for judge, of in ((named, f"{noun}, as sets"), (taught, f"{noun}, one by one" if named else noun)):
            if judge is not None:
                found.append(
                    {
                        "of": of,
                        "text": described(judge, modality, data),
                        "accuracy": accuracy([judge]),
                        "on": judged_on(judge),
                        "classes": None if of.endswith("one by one") else judge.get("classes"),
                    }
                )
    return found


def trained_with(config: Config) -> str:
    """What measured the perceptual loss of a VQGAN; "" for other models."""
    if config.model.kind != "vqgan" or config.prior is not None or config.vocoder is not None:
        return ""
    if not config.loss.perceptual:
        return "none (loss.perceptual=0)"
    return config.loss.features
