"""How many multiply-adds a TensorFlow graph takes in convolutions and products."""

from __future__ import annotations

import math
from typing import Any

CONVOLUTIONS = ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")
PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2")


def multiply_adds(graph: Any) -> int:
    """Multiply-adds of all convolutions, their gradients, products and einsums of a graph.

    What nothing asks for is left out, as TensorFlow leaves it out. The cells of a border of zeros
    count as any other. Functions within (`tf.while_loop`, `tf.cond`) are not looked into.

    Args:
        graph: of a concrete function.

    Raises:
        ValueError: a shape is not known; trace with constant shapes.
    """
    waiting = [*(tensor.op for tensor in graph.outputs), *graph.control_outputs]
    wanted: set[Any] = set()
    while waiting:
        op = waiting.pop()
        if op not in wanted:
            wanted.add(op)
            waiting += [*(tensor.op for tensor in op.inputs), *op.control_inputs]
    return sum(_of(op) for op in wanted)


def _of(op: Any) -> int:
    if op.type in CONVOLUTIONS:
        # A filter's every number meets every cell of the strided side once.
        strided = op.outputs[0] if op.type == "Conv2D" else op.inputs[2]
        kernel = op.outputs[0] if op.type == "Conv2DBackpropFilter" else op.inputs[1]
        *cells, _ = _shape(strided)
        return math.prod(cells) * math.prod(_shape(kernel))
    if op.type in PRODUCTS:
        turned = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
        inner = _shape(op.inputs[0])[-2 if turned else -1]
        return math.prod(_shape(op.outputs[0])) * inner
    if op.type == "Einsum":
        terms = op.get_attr("equation").decode().split("->")[0].split(",")
        sizes: dict[str, int] = {}
        for term, operand in zip(terms, op.inputs, strict=True):
            sizes |= dict(zip(term, _shape(operand), strict=True))
        return math.prod(sizes.values()) if len(terms) > 1 else 0
    return 0


def _shape(tensor: Any) -> list[int]:
    shape = tensor.shape.as_list() if tensor.shape.rank is not None else [None]
    if None in shape:
        raise ValueError(f"{tensor.name} has shape {tensor.shape}: trace with constant shapes")
    return list(shape)
