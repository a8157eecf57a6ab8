"""TensorFlow Serving's gRPC interface over an exported SavedModel, in this process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

VERSION = 1


class PredictionServer(
    prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer
):
    """Answers as the original does, from the signatures of a version.

    Attributes:
        refuse: so many of the next requests are told that the queue is full.
        held: while it is set, predictions do not come back.
        asked: signatures, in order.
    """

    def __init__(self, folder: Path, loaded):
        stored = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.definitions = stored.meta_graphs[0].signature_def
        self.loaded = loaded
        self.refuse, self.held, self.go, self.asked = 0, False, threading.Event(), []

    def Predict(self, request, context):
        name = request.model_spec.signature_name
        self.asked.append(name)
        self._check(request.model_spec, context)
        if self.refuse:
            self.refuse -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "The batch scheduling queue is full")
        if self.held:
            self.go.wait(20)
        if name not in self.loaded.signatures:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f'Serving signature name: "{name}" not found')
        takes = self.definitions[name].inputs
        if set(takes) != set(request.inputs):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "input size does not match signature")
        tensors = {}
        for key, proto in request.inputs.items():
            if proto.dtype != takes[key].dtype:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{key} is of another type")
            tensors[key] = tf.constant(tf.make_ndarray(proto))
        try:
            found = self.loaded.signatures[name](**tensors)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = predict_pb2.PredictResponse()
        response.model_spec.version.value = VERSION
        for key, value in found.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(self, request, context):
        self._check(request.model_spec, context)
        assert list(request.metadata_field) == ["signature_def"]
        held = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in self.definitions.items():  # __saved_model_init_op among them
            held.signature_def[name].CopyFrom(definition)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(held)
        return response

    def GetModelStatus(self, request, context):
        self._check(request.model_spec, context)
        response = get_model_status_pb2.GetModelStatusResponse()
        response.model_version_status.add(version=VERSION, state=30)  # AVAILABLE
        return response

    def _check(self, spec, context):
        if spec.name != "vqmm":
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({spec.name})")


@contextlib.contextmanager
def listening(server: PredictionServer) -> Iterator[str]:
    grpc_server = grpc.server(ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(server, grpc_server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(server, grpc_server)
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.go.set()
        grpc_server.stop(None).wait(10)
