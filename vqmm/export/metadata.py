"""What a program must know of an exported model, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vqmm.config import Config
from vqmm.encoding import codebook_fingerprint
from vqmm.export.signatures import Signature
from vqmm.models import VQVAE
from vqmm.value_ranges import VALUE_RANGES

FORMAT_VERSION = 1


def describe(
    model: VQVAE, config: Config, signatures: Mapping[str, Signature], values_checked: bool = False
) -> dict[str, Any]:
    """Describes what an exported model takes and gives.

    Args:
        model: with codes.
        config: of its run.
        signatures: by name.
        values_checked: whether the graph refuses values and codes outside their range. The graphs
            of LiteRT and ONNX cannot; a program that runs them has to.

    Returns:
        `fingerprint` of what makes codes; `ranges`, name to first code and the one after the
        last; `audio` (`sample_rate` in Hz, `samples`, `channels`, `frames`, `hop_length`, `mels`) and
        `image` (`height`, `width`, `channels`), both with `values`, the range of what goes in, and
        `accepted`, beyond which values are refused; `values_checked`; `grids`, rows and columns of
        the private codes;
        `signatures`, for each the name, type and shape of its inputs and outputs; `config`,
        the merged config of the run.
    """
    image, layer = config.data.image, model.features["audio"]
    frames = layer.compute_output_shape((None, config.data.audio.samples))[1]
    private = {name: list(e.grid_shape) for name, e in model.encoders.items() if model.private_range(name)}
    return {
        "format_version": FORMAT_VERSION,
        "name": config.name,
        "kind": config.model.kind,
        "fingerprint": codebook_fingerprint(model),
        "ranges": {name: list(bounds) for name, bounds in model.quantizer.ranges.items()},
        "audio": {
            "sample_rate": config.data.audio.sample_rate,
            "samples": config.data.audio.samples,
            "channels": 1,
            **_values("audio"),
            "frames": frames,
            "hop_length": layer.hop_length,
            "mels": layer.mels,
        },
        "image": {
            "height": image.height,
            "width": image.width,
            "channels": image.channels,
            **_values("image"),
        },
        "values_checked": values_checked,
        "grids": private,
        "signatures": {name: _shapes(signature) for name, signature in signatures.items()},
        "config": config.model_dump(mode="json"),
    }


def _values(modality: str) -> dict[str, Any]:
    values = VALUE_RANGES[modality]
    return {"values": [values.low, values.high], "accepted": list(values.accepted)}


def _shapes(signature: Signature) -> dict[str, Any]:
    return {
        side: {name: {"dtype": t.dtype.name, "shape": list(t.shape)} for name, t in tensors.items()}
        for side, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs))
    }
