"""The same model with another part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import keras

from vqmm.models.autoencoder import PairAutoencoder

Model = TypeVar("Model", bound=PairAutoencoder)


def remade(model: Model, **parts: Any) -> Model:
    """Makes a model anew with other parts; the weights of all else are carried over.

    Args:
        model: stays as it is.
        parts: by the name of its argument of the model: a built layer, or built layers by modality.
            Their weights are carried over from them.
    """
    config = {**model.get_config(), **{name: _packed(part) for name, part in parts.items()}}
    found = type(model).from_config(config)
    for old, new in zip(_others(model, parts), _others(found, parts), strict=True):
        new.assign(old)
    for name, part in parts.items():
        for old, new in zip(_weights(part), _weights(getattr(found, name)), strict=True):
            new.assign(old)
    return found


def _others(model: PairAutoencoder, names: Iterable[str]) -> list[Any]:
    """Weights of all but some parts."""
    own = {id(weight) for name in names for weight in _weights(getattr(model, name))}
    return [weight for weight in model.weights if id(weight) not in own]


def _packed(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {name: keras.saving.serialize_keras_object(layer) for name, layer in part.items()}
    return keras.saving.serialize_keras_object(part)


def _weights(part: Any) -> list[Any]:
    """Of a layer, of layers by modality, or of none."""
    layers = part.values() if isinstance(part, Mapping) else [part] if part is not None else []
    return [weight for layer in layers for weight in layer.weights]
