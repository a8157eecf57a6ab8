"""A classifier that the user names, in whose features sets of items are compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from vqmm.config import Config
from vqmm.encoding import KINDS
from vqmm.errors import UserError
from vqmm.evaluation.extractors import FEWEST_JUDGED, as_seen, fingerprint, unscaled
from vqmm.evaluation.material import Material
from vqmm.training.teaching import in_batches

MOST_FEATURES = 4096  # a Fréchet distance needs the eigenvalues of as large a matrix


class NamedExtractor(NamedTuple):
    """A foreign classifier of one modality, in the place of the taught one where sets are compared.

    Attributes:
        path: of its `.keras` file.
        modality: whose features it reads.
        classifier: from a model's features f32[B, H, W, C] to probabilities f32[B, classes].
        embedder: to what its last layer reads, f32[B, ...].
        accuracy: on the split that is judged, 0..1, class i taken for label i; None where it has not
            as many classes as there are labels.
        kind: as of an `Extractor`.
    """

    path: str
    modality: str
    classifier: keras.Model
    embedder: keras.Model
    accuracy: float | None = None
    kind: str = "named"

    @property
    def fingerprint(self) -> str:
        """Tells its weights from others, 16 hex digits."""
        return fingerprint(self.classifier)

    def features(self, items: np.ndarray) -> np.ndarray:
        """f32[n, F], what its last layer reads, of items as `as_seen` gives them."""
        found = in_batches(self.embedder, self._as_asked(items))
        return found.reshape(len(found), -1)

    def probabilities(self, items: np.ndarray) -> np.ndarray:
        """f32[n, classes]."""
        return in_batches(self.classifier, self._as_asked(items))

    def to_json(self) -> dict[str, Any]:
        """How `evaluation.json` names it."""
        classes = int(self.classifier.output_shape[-1])
        told = {"kind": self.kind, "path": self.path, "fingerprint": self.fingerprint, "classes": classes}
        return {**told, "accuracy": self.accuracy}

    def _as_asked(self, items: np.ndarray) -> np.ndarray:
        return unscaled(items) if self.modality == "audio" else items


class Classifier(NamedTuple):
    """What a file held: see `read_classifiers`."""

    path: Path
    model: keras.Model


def read_classifiers(paths: Mapping[str, Path], config: Config) -> dict[str, Classifier]:
    """Classifiers from `.keras` files, by modality: one input, one output, a softmax in the last layer.

    Raises:
        UserError: one cannot be read or is another kind of model, or `config` asks for nothing to be
            compared.
    """
    if paths and not config.evaluate.generated:
        raise UserError(
            f"extractor {next(iter(paths.values()))}: evaluate.generated=0 leaves out what would be compared "
            "in its features; set it to 100 or more in the run's config.yaml"
        )
    return {modality: Classifier(path, _read(path)) for modality, path in paths.items()}


def _read(path: Path) -> keras.Model:
    if path.suffix != ".keras" or not path.is_file():
        raise UserError(f"extractor {path}: no such .keras file; save a Keras classifier by model.save")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a damaged archive or a foreign layer raises
        raise UserError(
            f"extractor {path} cannot be read: {' '.join(str(error).split())[:200]}; layers of your own "
            "must be registered, and none may be a Lambda"
        ) from None
    shaped = isinstance(model, keras.Model) and getattr(model, "inputs", None)
    if not shaped or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(
            f"extractor {path} is a {type(model).__name__}; give a Sequential or functional model of one "
            "input and one output"
        )
    if len(model.output_shape) != 2 or (model.output_shape[-1] or 0) < 2 or not _ends_in_softmax(model):
        raise UserError(
            f"extractor {path} gives {_shape(model.output_shape)} by its last layer "
            f"{model.layers[-1].name!r}; give a classifier that ends in a softmax over two classes or more"
        )
    return model


def name_extractors(
    classifiers: Mapping[str, Classifier], model: Any, material: Material
) -> dict[str, NamedExtractor]:
    """Sets up classifiers for what is judged.

    Args:
        classifiers: of `read_classifiers`, over `model.features` of their modality: pictures in 0..1,
            or log-mel in log10.
        model: that is judged.
        material: of it.

    Raises:
        UserError: a classifier does not take these features or gives no probabilities, or there are
            too few items.
    """
    return {name: _named(name, *found, model, material) for name, found in classifiers.items()}


def _named(
    modality: str, path: Path, classifier: keras.Model, model: Any, material: Material
) -> NamedExtractor:
    side, kind = material.sides.get(modality), next(k for name, k in KINDS.items() if name == modality)
    if side is None or len(side.inputs) < FEWEST_JUDGED:
        held = 0 if side is None else len(side.inputs)
        raise UserError(
            f"extractor {path}: the split has {held} {kind}, and {FEWEST_JUDGED} or more are compared; leave "
            "it out or judge another split"
        )
    items = as_seen(model, side)
    wanted, found = items.shape[1:], tuple(classifier.input_shape[1:])
    if len(found) != len(wanted) or any(a not in (None, b) for a, b in zip(found, wanted, strict=True)):
        raise UserError(
            f"extractor {path} takes {_shape(classifier.input_shape)}, and the model's features of {kind} "
            f"are {_shape((None, *wanted))}; give a classifier taught on these"
        )
    embedder = keras.Model(classifier.inputs[0], classifier.layers[-1].input)
    named = NamedExtractor(str(path), modality, classifier, embedder)
    try:
        features, chances = named.features(items[:FEWEST_JUDGED]), named.probabilities(items)
    except Exception as error:  # whatever a foreign model raises
        raise UserError(f"extractor {path} fails on {kind}: {' '.join(str(error).split())[:200]}") from None
    if features.shape[1] > MOST_FEATURES:
        raise UserError(
            f"extractor {path} gives its last layer {features.shape[1]} numbers an item; give one with "
            f"{MOST_FEATURES} or fewer, as by global average pooling"
        )
    if not np.isfinite(features).all() or not np.allclose(chances.sum(axis=1), 1.0, atol=1e-3):
        raise UserError(f"extractor {path} gives no finite features or no probabilities of {kind}")
    labels = side.encoded.labels
    known = labels >= 0
    if chances.shape[1] == len(material.labels) and known.any():
        right = chances[known].argmax(axis=1) == labels[known]
        return named._replace(accuracy=float(right.mean()))
    return named


def _ends_in_softmax(model: keras.Model) -> bool:
    last = model.layers[-1]
    activation = getattr(last, "activation", None)
    return isinstance(last, keras.layers.Softmax) or activation is keras.activations.softmax


def _shape(sizes: Any) -> str:
    return f"f32[{', '.join('B' if place == 0 else str(size) for place, size in enumerate(sizes))}]"
