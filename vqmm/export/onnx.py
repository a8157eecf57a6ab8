"""Models for ONNX Runtime: one file for each signature."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vqmm.atomic import write_atomic
from vqmm.config import Config
from vqmm.errors import UserError
from vqmm.export.metadata import describe
from vqmm.export.products import with_products
from vqmm.export.signatures import tensor_signatures
from vqmm.extras import requires_extra
from vqmm.models import VQVAE
from vqmm.quiet import quiet

OPSET = 17
METADATA = "vqmm.json"


def write_onnx(model: VQVAE, config: Config, folder: str | Path) -> Path:
    """Writes `encode`, `embed` and `decode` of either modality as .onnx files, and what to know of them.

    They take and give what `tensor_signatures` tells, any number of items, in operators of
    ONNX alone. The spectrogram's Fourier transform is two products of matrices: tf2onnx has
    none whose parts may be used one by one.

    Args:
        model: with codes.
        config: of its run.
        folder: for `SIGNATURE.onnx` and `vqmm.json`; files of the same name are replaced.

    Returns:
        The folder.

    Raises:
        UserError: tf2onnx is not installed, `folder` is a file, the model is of mixed precision,
            or ONNX has no operator for something in it.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; an export needs a folder: give another name")
    if config.train.mixed_precision:
        raise UserError(
            f"ONNX files are made of float32 models; this run has train.mixed_precision="
            f"{str(config.train.mixed_precision).lower()}: export saved_model, or train without it"
        )
    with requires_extra("onnx", "an export to ONNX"), quiet():
        import tf2onnx
    folder.mkdir(parents=True, exist_ok=True)
    signatures = tensor_signatures(with_products(model))
    for name, made in signatures.items():
        with quiet():
            graph, _ = tf2onnx.convert.from_function(made.function, list(made.inputs.values()), opset=OPSET)
        beyond = sorted({node.op_type for node in graph.graph.node if not _known(node)})
        if beyond:
            raise UserError(f"ONNX cannot hold {name} of this model: it has no {', '.join(beyond)}")
        write_atomic(folder / f"{name}.onnx", graph.SerializeToString())
    facts = {**describe(model, config, signatures), "files": {name: f"{name}.onnx" for name in signatures}}
    write_atomic(folder / METADATA, json.dumps(facts, indent=2) + "\n")
    return folder


def _known(node: Any) -> bool:
    import onnx

    return bool(onnx.defs.has(node.op_type, node.domain))
