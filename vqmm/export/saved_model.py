"""A SavedModel that loads without this library, in the folders that TensorFlow Serving watches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from vqmm.config import Config
from vqmm.data.pixels import REQUEST_PIXELS
from vqmm.errors import UserError
from vqmm.export.metadata import describe
from vqmm.export.signatures import Signature, serving_signatures
from vqmm.export.warmup import WARMUP_FILE, write_warmup
from vqmm.lock import hold
from vqmm.models import VQVAE
from vqmm.plain_reason import plain_reason
from vqmm.system_errors import mend_of

EXTRA = "assets.extra"


def write_saved_model(
    model: VQVAE, config: Config, folder: str | Path, request_pixels: int = REQUEST_PIXELS
) -> Path:
    """Writes the next version of a model, whole or not at all.

    A version is built beside the folder's versions under a name that is no number, which
    TensorFlow Serving passes over, and takes its number by one move.

    Args:
        model: with codes.
        config: of its run.
        folder: holds the versions, one a folder, 1 upwards; made where it is missing.
        request_pixels: that all pictures of one request may have together, by their headers.

    Returns:
        The folder of the new version. Beside the SavedModel it holds `assets.extra/vqmm.json`
        (`describe`, and `limits` in pixels) and warm-up requests for TensorFlow Serving.

    Raises:
        UserError: `folder` is a file, another process is writing into it, or it is full.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; an export needs a folder: give another name")
    folder.mkdir(parents=True, exist_ok=True)
    with hold(folder / "lock"):
        version = max([0, *(int(path.name) for path in folder.iterdir() if path.name.isdecimal())]) + 1
        part, place = folder / f".{version}.part", folder / str(version)
        shutil.rmtree(part, ignore_errors=True)
        try:
            signatures = serving_signatures(model, config, request_pixels)
            write_signatures(model, signatures, part)
            (part / EXTRA).mkdir()
            limits = {"request_pixels": request_pixels, "picture_pixels": config.data.image.max_pixels}
            facts = {**describe(model, config, signatures, values_checked=True), "limits": limits}
            (part / EXTRA / "vqmm.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            spec = config.data.image
            picture = (spec.height, spec.width, spec.channels)
            rate = config.data.audio.sample_rate
            write_warmup(part / EXTRA / WARMUP_FILE, signatures, rate, picture)
            part.replace(place)
        except (OSError, tf.errors.OpError) as error:
            raise UserError(f"cannot write {place}: {plain_reason(error)}; {mend_of(error)}") from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return place


def write_signatures(model: VQVAE, signatures: Mapping[str, Signature], folder: Path) -> None:
    """Writes a SavedModel of these signatures alone, with the weights that they need.

    Args:
        model: that they belong to.
        signatures: by name.
        folder: of the SavedModel, new.
    """
    holder = tf.Module()
    # Not those of the model itself: discriminators and optimizers stay at home. Keras's own
    # ExportArchive would write each twice.
    layers = [*model.features.values(), *model.encoders.values(), *model.decoders.values(), model.quantizer]
    holder.weights = [variable.value for layer in layers for variable in layer.variables]
    functions = {name: signature.function for name, signature in signatures.items()}
    for name, function in functions.items():
        setattr(holder, name, function)
    tf.saved_model.save(holder, str(folder), signatures=functions)


def load_signatures(folder: str | Path) -> tuple[Any, dict[str, Any]]:
    """Reads a SavedModel back: the object that must be kept alive, and its signatures by name."""
    loaded = tf.saved_model.load(str(folder))
    return loaded, dict(loaded.signatures)
