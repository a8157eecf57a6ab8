"""Models for devices: .tflite files of built-in operations, in floats and in whole numbers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError

from vqmm.atomic import write_atomic
from vqmm.config import Config
from vqmm.encoding import KINDS
from vqmm.errors import UserError
from vqmm.export.metadata import describe
from vqmm.export.products import with_products
from vqmm.export.quantize import PRECISIONS, quantize
from vqmm.export.saved_model import write_signatures
from vqmm.export.signatures import tensor_signatures
from vqmm.models import VQVAE
from vqmm.quiet import quiet

METADATA = "vqmm.json"


def write_litert(
    model: VQVAE,
    config: Config,
    folder: str | Path,
    precisions: Sequence[str] = PRECISIONS,
    samples: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Path]:
    """Writes one .tflite file for each precision, and what to know of them.

    Each file has the signatures `encode_audio`, `encode_image`, `decode_audio` and
    `decode_image` of `tensor_signatures`, for one item at a time. LiteRT has Fourier transforms of
    powers of two alone; others are two products of matrices.

    Args:
        model: with codes.
        config: of its run.
        folder: for `model_PRECISION.tflite` and `vqmm.json`; files of the same name are replaced.
        precisions: see `quantize`.
        samples: by modality, items f32[n, ...] that are like those to come; for `int8`.
        tell: is told each step.

    Returns:
        Files by precision.

    Raises:
        UserError: `folder` is a file, a precision is unknown, `int8` has no samples, or LiteRT
            cannot hold the model.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; an export needs a folder: give another name")
    unknown = [name for name in precisions if name not in PRECISIONS]
    if unknown:
        raise UserError(f"precision {unknown[0]!r}; legal: {', '.join(PRECISIONS)}")
    if config.train.mixed_precision:
        raise UserError(
            f"LiteRT files are made of float32 models; this run has train.mixed_precision="
            f"{str(config.train.mixed_precision).lower()}: export saved_model, or train without it"
        )
    missing = set(model.input_shapes) - set(samples or {})
    if "int8" in precisions and missing:
        kinds = " and ".join(kind for modality, kind in KINDS.items() if modality in missing)
        raise UserError(
            f"int8 needs samples to find the range of each layer, and there are no {kinds}; "
            "give prepared data that has some, or take fp32, fp16 and dynamic alone"
        )
    folder.mkdir(parents=True, exist_ok=True)
    n_fft = model.features["audio"].n_fft
    if n_fft & (n_fft - 1):
        model = with_products(model)
    signatures = tensor_signatures(model, batch=1, verbs=("encode", "decode"))
    tell("LiteRT: converting")
    blob = convert(model, signatures)
    requests = calibration_requests(model, samples or {})
    paths = {}
    for precision in precisions:
        tell(f"LiteRT: {precision}")
        paths[precision] = folder / f"model_{precision}.tflite"
        write_atomic(paths[precision], quantize(blob, precision, requests))
    facts = {**describe(model, config, signatures), "files": {p: path.name for p, path in paths.items()}}
    write_atomic(folder / METADATA, json.dumps(facts, indent=2) + "\n")
    return paths


def convert(model: VQVAE, signatures: Mapping[str, Any]) -> bytes:
    """A .tflite file in float32 with these signatures, of built-in operations alone.

    Raises:
        UserError: there are none for something in the model.
    """
    # By way of a SavedModel: straight from Keras's functions variables are left out, silently.
    with tempfile.TemporaryDirectory() as scratch:
        write_signatures(model, signatures, Path(scratch))
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch, signature_keys=list(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            with quiet():
                return bytes(converter.convert())
        except ConverterError as error:
            raise UserError(f"LiteRT cannot hold this model: {str(error)[:300]}") from None


def calibration_requests(model: VQVAE, samples: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What each signature is asked while its ranges are found: items, and the codes that they have."""
    requests: dict[str, list[dict[str, Any]]] = {}
    for modality, items in samples.items():
        codes = model.encode(**{modality: tf.convert_to_tensor(items)}, fine=False)
        named = {name: value.numpy() for name, value in codes._asdict().items() if value is not None}
        rows = range(len(items))
        requests[f"encode_{modality}"] = [{modality: items[row : row + 1]} for row in rows]
        requests[f"decode_{modality}"] = [
            {name: value[row : row + 1] for name, value in named.items()} for row in rows
        ]
    return requests
