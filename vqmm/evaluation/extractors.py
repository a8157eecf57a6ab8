"""Features in which pictures and sounds are compared, taught on real items."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np

from vqmm.evaluation.material import Material, Side
from vqmm.networks import FeatureNet
from vqmm.training.teaching import Taught, in_batches, teach, teach_turns

BATCH = 256
FEWEST = 32  # training items
FEWEST_JUDGED = 5  # items of a set that is compared: precision and recall look at 3 neighbours
STEPS = 400  # of teaching


class SetJudge(Protocol):
    """In whose features sets of items are compared: an `Extractor` or a `NamedExtractor`."""

    @property
    def kind(self) -> str:
        """`"labels"`, `"turns"` or `"named"`."""

    @property
    def fingerprint(self) -> str:
        """Tells its weights from others, 16 hex digits."""

    def features(self, items: np.ndarray) -> np.ndarray:
        """f32[n, F] of items as `as_seen` gives them."""

    def probabilities(self, items: np.ndarray) -> np.ndarray:
        """f32[n, classes]."""

    def to_json(self) -> dict[str, Any]:
        """How `evaluation.json` names it."""


class Extractor(NamedTuple):
    """A feature network of one modality.

    Attributes:
        kind: `"labels"` (taught to tell the labels) or `"turns"` (which way up; no labels).
        taught: the network and its accuracy, with labels on the split that is judged, without
            them on training items that it was not taught on.
        items: training items that it was taught on.
        labels: that it was taught. Nothing can be said of others, and items of these are left out.
        unknown_labels: items of the split that is judged whose label is another one.
    """

    kind: str
    taught: Taught
    items: int
    labels: tuple[int, ...] = ()
    unknown_labels: int = 0

    @property
    def fingerprint(self) -> str:
        """Tells its weights from others, 16 hex digits."""
        return fingerprint(self.taught.classifier)

    def to_json(self) -> dict[str, Any]:
        """How `evaluation.json` names it."""
        classes = int(self.taught.classifier.output_shape[-1])
        told = {"kind": self.kind, "split": "train", "items": self.items, "classes": classes}
        told |= {"unknown_labels": self.unknown_labels} if self.unknown_labels else {}
        return {**told, "accuracy": self.taught.accuracy, "fingerprint": self.fingerprint}

    def features(self, items: np.ndarray) -> np.ndarray:
        """f32[n, 64], what the classifier's last layer reads, of f32[n, H, W, C]."""
        return in_batches(self.taught.embedder, items)

    def probabilities(self, items: np.ndarray) -> np.ndarray:
        """f32[n, classes]."""
        return in_batches(self.taught.classifier, items)

    def maps(self, items: np.ndarray) -> list[Any]:
        """Feature maps of every stage."""
        return list(self.taught.net(items))


def fit_extractors(model: Any, material: Material, seed: int) -> dict[str, Extractor]:
    """One for each modality, taught on the training split; none for a modality with too few items.

    They are independent of the model: it serves to turn sound into log-mel alone.
    """
    found = {}
    for name, train in material.training.items():
        test = material.sides[name]
        if len(train.inputs) >= FEWEST and len(test.inputs) >= FEWEST_JUDGED:
            found[name] = _fit(as_seen(model, train), as_seen(model, test), train, test, seed)
    return found


def as_seen(model: Any, side: Side) -> np.ndarray:
    """Items as the networks of `fit_extractors` see them: pictures, or log-mel scaled to about 0..1."""
    if side.encoded.modality == "image":
        return side.inputs
    return scaled(log_mels(model, side.inputs))


def log_mels(model: Any, sounds: np.ndarray) -> np.ndarray:
    """Log-mel f32[n, frames, mels, 1] of many sounds f32[n, samples], as the model takes it."""
    starts = range(0, len(sounds), BATCH)
    return np.concatenate([np.asarray(model.log_mel(sounds[start : start + BATCH])) for start in starts])


def scaled(log_mel: np.ndarray) -> np.ndarray:
    """Log-mel of log10 powers -6 to 1 in about 0..1."""
    return (log_mel + 6.0) / 7.0


def unscaled(items: np.ndarray) -> np.ndarray:
    """The log-mel that `scaled` was given."""
    return 7.0 * items - 6.0


def fingerprint(model: keras.Model) -> str:
    """16 hex digits of a sha256 over a model's weights and their shapes."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(repr((weight.shape, str(weight.dtype))).encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:16]


def _fit(items: np.ndarray, test_items: np.ndarray, train: Side, test: Side, seed: int) -> Extractor:
    labels, wanted = train.encoded.labels, test.encoded.labels
    known = labels >= 0
    names = np.unique(labels[known])
    judged = np.isin(wanted, names)
    net = FeatureNet(seed=seed + 7)
    if len(names) > 1 and judged.any():
        taught = teach(net, items[known], labels[known], test_items[judged], wanted[judged], STEPS, seed)
        unknown_labels = int((wanted >= 0).sum() - judged.sum())
        return Extractor("labels", taught, int(known.sum()), tuple(names.tolist()), unknown_labels)
    return Extractor("turns", teach_turns(net, [items], STEPS, seed), len(items))
