"""A .tflite file's numbers made smaller: half floats, or whole numbers where it costs no codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vqmm.extras import requires_extra
from vqmm.quiet import quiet

PRECISIONS = ("fp32", "fp16", "dynamic", "int8")

# Keras names operations by the layers that they lie in. The log-mel, the heads of the private
# codes and the search of the nearest code are not among them: their errors become other codes.
NETWORKS = r"_(encoder|decoder)[^/;]*/(trunk|shared_head|attention|last)"
TRUNKS = r"_encoder[^/;]*/trunk"  # of the encoders: private codes hang on them


def quantize(blob: bytes, precision: str, requests: Mapping[str, Sequence[Any]]) -> bytes:
    """Rewrites a float32 file in another precision; inputs and outputs stay as they are.

    Args:
        blob: the file.
        precision: `"fp32"`: as it is. `"fp16"`: weights in half floats. `"dynamic"`: weights
            of the networks in 8 bits, activations scaled to 8 bits as they come. `"int8"`:
            both in 8 bits, with ranges found beforehand; the trunks of the encoders, on which
            the private codes hang, keep half floats, as do transposed convolutions.
        requests: by signature, inputs by name, to find ranges with; for `"int8"`.

    Returns:
        The new file.

    Raises:
        UserError: ai-edge-quantizer is not installed.
    """
    if precision == "fp32":
        return blob
    with requires_extra("export", f"litert_{precision}"):
        from ai_edge_quantizer import qtyping, quantizer
    op = qtyping.TFLOperationName
    tool = quantizer.Quantizer(bytearray(blob))
    if precision == "fp16":
        _half(tool, ".*", op.ALL_SUPPORTED)
    for kind in (op.CONV_2D, op.FULLY_CONNECTED) if precision != "fp16" else ():
        if precision == "dynamic":
            tool.add_dynamic_config(NETWORKS, kind, num_bits=8)
        else:
            tool.add_static_config(NETWORKS, kind, activation_num_bits=8, weight_num_bits=8)
    if precision != "fp16":
        _half(tool, NETWORKS, op.CONV_2D_TRANSPOSE)  # in 8 bits they are slower
    if precision == "int8":
        _half(tool, TRUNKS, op.CONV_2D)
    with quiet():
        ranges = tool.calibrate(dict(requests), num_threads=1) if tool.need_calibration else {}
        return bytes(tool.quantize(ranges).quantized_model)


def _half(tool: Any, scope: str, operation: Any) -> None:
    from ai_edge_quantizer import algorithm_manager, qtyping

    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=16, dtype=qtyping.TensorDataType.FLOAT
        ),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    tool.update_quantization_recipe(scope, operation, config, algorithm_manager.AlgorithmName.FLOAT_CASTING)
