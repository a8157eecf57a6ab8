"""Exported models as functions of arrays by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vqmm.errors import UserError
from vqmm.export.parity import Runner
from vqmm.extras import requires_extra
from vqmm.plain_reason import plain_reason
from vqmm.quiet import quiet
from vqmm.value_ranges import VALUE_RANGES, check_values


def saved_model_runners(folder: str | Path) -> Callable[[str], Runner]:
    """Opens a SavedModel (a version's folder); gives the runner of a signature by its name.

    A runner raises UserError where the graph refuses what it is given.
    """
    loaded = tf.saved_model.load(str(folder))

    def runner(name: str) -> Runner:
        def run(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
            try:
                # By way of `loaded`: a signature alone does not keep its variables alive.
                found = loaded.signatures[name](**_tensors(inputs))
            except tf.errors.OpError as error:
                raise UserError(f"{name}: {plain_reason(error)}") from None
            return {key: value.numpy() for key, value in found.items()}

        return run

    return runner


def litert_runners(path: str | Path, threads: int = 1) -> Callable[[str], Runner]:
    """Opens a .tflite file; gives the runner of a signature, which takes its items one by one.

    A runner raises UserError for values that cannot be meant: the graph itself cannot refuse them.

    Raises:
        UserError: ai-edge-litert is not installed.
    """
    with requires_extra("export", "running a LiteRT file"):
        from ai_edge_litert.interpreter import Interpreter
    with quiet():
        interpreter = Interpreter(str(path), num_threads=threads)

    def runner(name: str) -> Runner:
        call = interpreter.get_signature_runner(name)

        def run(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
            _check(inputs)
            count = len(next(iter(inputs.values())))
            rows = range(count)
            found = [call(**{key: value[row : row + 1] for key, value in inputs.items()}) for row in rows]
            return {key: np.concatenate([part[key] for part in found]) for key in found[0]}

        return run

    return runner


def onnx_runners(folder: str | Path, threads: int = 1) -> Callable[[str], Runner]:
    """Opens a folder of .onnx files; gives the runner of a signature by its name.

    A runner raises UserError for values that cannot be meant: the graph itself cannot refuse them.

    Raises:
        UserError: onnxruntime is not installed.
    """
    with requires_extra("onnx", "running an ONNX file"):
        import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads

    def runner(name: str) -> Runner:
        path = str(Path(folder) / f"{name}.onnx")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        outputs = [part.name for part in session.get_outputs()]

        def run(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
            _check(inputs)
            return dict(zip(outputs, session.run(outputs, dict(inputs)), strict=True))

        return run

    return runner


def _tensors(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tf.convert_to_tensor(value) for key, value in inputs.items()}


def _check(inputs: Mapping[str, Any]) -> None:
    for name in VALUE_RANGES:
        if name in inputs:
            check_values(name, inputs[name])
