"""A client of TensorFlow Serving's gRPC interface."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vqmm.errors import nearest
from vqmm.extras import requires_extra
from vqmm.plain_reason import plain_reason
from vqmm.serving.client import Modality, ServiceError
from vqmm.value_ranges import VALUE_RANGES, out_of_range

with requires_extra("export", "the client of TensorFlow Serving"):
    import grpc
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

MOST_BYTES = 256 * 2**20  # of a message; gRPC's own limit of 4 MiB is less than a batch of pictures
STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class FileCodes(NamedTuple):
    """Codes of a recording or a picture.

    Attributes:
        shared: i32[T].
        private: i32[P], or None where the model has none.
        version: of the model.
    """

    shared: npt.NDArray[np.int32]
    private: npt.NDArray[np.int32] | None
    version: int


class GrpcClient:
    """Talks to TensorFlow Serving over gRPC; errors are those of `Client`.

    The first request asks for the signatures, so that values go as the types that they take.

    Args:
        address: as `localhost:8500`.
        model: its name.
        timeout: for one answer, retries included, in seconds.
        retries: how often to try again while the server cannot be reached or is full; 0 to 4.
        credentials: of TLS; None: plain.

    Raises:
        ValueError: retries out of bounds.
    """

    def __init__(
        self,
        address: str,
        model: str = "vqmm",
        timeout: float = 30.0,
        retries: int = 3,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        if not 0 <= retries <= 4:  # gRPC makes 5 attempts at most
            raise ValueError(f"retries={retries}; legal: 0 to 4")
        self._address, self._model, self._timeout = address, model, timeout
        options = [
            ("grpc.max_receive_message_length", MOST_BYTES),
            ("grpc.max_send_message_length", MOST_BYTES),
            ("grpc.service_config", _retrying(retries)),
        ]
        self._channel = (
            grpc.insecure_channel(address, options)
            if credentials is None
            else grpc.secure_channel(address, credentials, options)
        )
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._service = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._signatures: dict[str, Any] = {}

    def predict(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """Runs a signature on rows.

        Args:
            signature: its name.
            inputs: arrays by name, of equally many rows; files as lists of bytes.

        Returns:
            Arrays by name.

        Raises:
            ServiceError: the server refused (400, 404), is full (429), cannot be reached
                (503), or does not answer in time (504); a signature, an input or a type
                that it does not have (400).
        """
        return _arrays(self._predict(signature, inputs))

    def encode(self, file: str | Path | bytes, modality: Modality) -> FileCodes:
        """Codes of a WAV, PNG or JPEG file.

        Args:
            file: a path, or what is in the file.
            modality: what it is.

        Raises:
            ServiceError: see `predict`.
        """
        data = file if isinstance(file, bytes) else Path(file).read_bytes()
        response = self._predict(f"encode_{modality}_bytes", {f"{modality}_bytes": [data]})
        found = _arrays(response)
        private = found["private"][0] if "private" in found else None
        return FileCodes(found["shared"][0], private, response.model_spec.version.value)

    def decode(self, shared: Any, modality: Modality, private: Any = None) -> npt.NDArray[np.float32]:
        """A picture or a recording of codes.

        Args:
            shared: i[T].
            modality: what to make.
            private: i[P] of that modality; None: from the shared codes alone.

        Returns:
            f32[H, W, C], 0..1, or f32[samples], -1..1.

        Raises:
            ServiceError: see `predict`.
        """
        name = f"decode_{modality}"
        inputs = {"shared": np.asarray(shared)[None]}
        takes = self._inputs(name)
        if private is not None:
            inputs["private"] = np.asarray(private)[None]
        elif "private" in takes:
            shape = [part.size for part in takes["private"].tensor_shape.dim]
            inputs["private"] = np.full((1, *shape[1:]), -1, np.int32)
        return self.predict(name, inputs)[modality][0]

    def versions(self) -> dict[int, str]:
        """The versions of the model with their states, as `{1: "AVAILABLE"}`.

        Raises:
            ServiceError: see `predict`.
        """
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self._model
        found = self._call(self._service.GetModelStatus, request).model_version_status
        names = get_model_status_pb2.ModelVersionStatus.State
        return {status.version: names.Name(status.state) for status in found}

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _predict(self, signature: str, inputs: Mapping[str, Any]) -> Any:
        takes = self._inputs(signature)
        if set(inputs) != set(takes):
            raise ServiceError(
                400, f"{signature} takes {', '.join(sorted(takes))}; received {sorted(inputs)}"
            )
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            dtype = tf.as_dtype(takes[name].dtype)
            request.inputs[name].CopyFrom(tf.make_tensor_proto(_typed(name, value, dtype), dtype))
        return self._call(self._prediction.Predict, request)

    def _inputs(self, signature: str) -> Mapping[str, Any]:
        """What a signature takes; asked for again where a newer version may have it."""
        if signature not in self._signatures:
            request = get_model_metadata_pb2.GetModelMetadataRequest()
            request.model_spec.name = self._model
            request.metadata_field.append("signature_def")
            found = self._call(self._prediction.GetModelMetadata, request).metadata["signature_def"]
            held = get_model_metadata_pb2.SignatureDefMap()
            found.Unpack(held)
            known = {name: d.inputs for name, d in held.signature_def.items() if not name.startswith("__")}
            if signature not in known:
                legal = ", ".join(sorted(known))
                raise ServiceError(400, f"signature {signature!r}{nearest(signature, known)}; legal: {legal}")
            self._signatures = known
        return self._signatures[signature]

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            code, said = error.code(), plain_reason(error.details() or error.code().name)
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                said = f"no answer from {self._address} within {self._timeout:g} s"
            elif code == grpc.StatusCode.UNAVAILABLE:
                said = f"{self._address} cannot be reached or is full: {said}"
            raise ServiceError(STATUS.get(code, 500), said) from None


def _retrying(retries: int) -> str:
    policy = {
        "maxAttempts": retries + 1,
        "initialBackoff": "0.2s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
    }
    services = [{"service": f"tensorflow.serving.{name}Service"} for name in ("Prediction", "Model")]
    method = {"name": services, **({"retryPolicy": policy} if retries else {})}
    return json.dumps({"methodConfig": [method]})


def _typed(name: str, value: Any, dtype: tf.DType) -> Any:
    """A value as the type that the signature takes; nothing is lost on the way."""
    if dtype == tf.string:
        if not isinstance(value, list) or not all(isinstance(part, bytes) for part in value):
            raise ServiceError(400, f"{name} takes files: a list of bytes")
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ServiceError(400, f"{name} is no array: {error}") from None
    wanted = np.dtype(dtype.as_numpy_dtype)
    if array.dtype.kind not in ("iu" if wanted.kind == "i" else "iuf"):
        raise ServiceError(400, f"{name} takes {dtype.name}; received {array.dtype}")
    reason = out_of_range(name, array) if name in VALUE_RANGES else None
    if reason:  # an older export has no checks of its own
        raise ServiceError(400, reason)
    with np.errstate(over="ignore"):
        cast = array.astype(wanted)
    if wanted.kind == "i" and not np.array_equal(cast, array):
        raise ServiceError(400, f"{name} takes {dtype.name}; received values beyond it")
    return cast


def _arrays(response: Any) -> dict[str, npt.NDArray[Any]]:
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
