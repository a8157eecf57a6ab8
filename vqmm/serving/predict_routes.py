"""TensorFlow Serving's REST interface."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from vqmm.serving.media import check_pixels
from vqmm.serving.model import ServedModel
from vqmm.serving.refused import REFUSALS, Refused
from vqmm.serving.service import Service
from vqmm.serving.tensors import Call, read_call, write_answer
from vqmm.serving.workers import Workers, predicted

BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "signature_name": {"type": "string"},
                        "instances": {"type": "array", "items": {}},
                        "inputs": {},
                    },
                    "required": ["signature_name"],
                    "additionalProperties": False,
                }
            }
        },
    }
}


def predict_routes(service: Service, workers: Workers) -> APIRouter:
    """Prediction, status and metadata of the model `vqmm`, with and without a version."""
    router = APIRouter(responses=REFUSALS)

    def read(body: bytes, model: ServedModel) -> Call:
        call = read_call(body, model.signatures, service.settings.rows)
        if "image_bytes" in call.inputs:
            most = model.media.image.max_pixels
            check_pixels(call.inputs["image_bytes"], most, model.request_pixels)
        return call

    async def answer(request: Request, version: int | None = None) -> Response:
        body = await request.body()
        with service.use() as (model, _):
            _check(model, version)
            call = await workers.call(read, body, model)
            outputs = await predicted(model, call.signature, call.inputs)
        content = await workers.call(write_answer, outputs, call.by_row)
        return Response(content, media_type="application/json")

    @router.post("/v1/models/vqmm:predict", openapi_extra=BODY, summary="Runs a signature")
    async def predict(request: Request) -> Response:
        return await answer(request)

    @router.post("/v1/models/vqmm/versions/{version}:predict", openapi_extra=BODY, summary="The same")
    async def predict_version(version: int, request: Request) -> Response:
        return await answer(request, version)

    @router.get("/v1/models/vqmm", summary="Which version is served")
    async def status() -> dict[str, Any]:
        return _status(service)

    @router.get("/v1/models/vqmm/versions/{version}", summary="Whether a version is served")
    async def status_of(version: int) -> dict[str, Any]:
        states = [s for s in _status(service)["model_version_status"] if s["version"] == str(version)]
        if not states:
            raise Refused(404, f"version {version} is not here")
        return {"model_version_status": states}

    @router.get("/v1/models/vqmm/metadata", summary="Names, types and shapes of the signatures")
    async def metadata() -> dict[str, Any]:
        return service.pair.model.metadata()

    @router.get("/v1/models/vqmm/versions/{version}/metadata", summary="The same")
    async def metadata_of(version: int) -> dict[str, Any]:
        _check(service.pair.model, version)
        return service.pair.model.metadata()

    return router


def _check(model: ServedModel, version: int | None) -> None:
    if version not in (None, model.version):
        raise Refused(404, f"version {version} is not served; version {model.version} is")


def _status(service: Service) -> dict[str, Any]:
    states = [(service.pair.model.version, "AVAILABLE", "OK", "")]
    failed = service.failed.reasons.items()
    states += [(name, "END", "UNKNOWN", said) for name, said in failed if isinstance(name, int)]
    return {
        "model_version_status": [
            {"version": str(n), "state": state, "status": {"error_code": code, "error_message": said}}
            for n, state, code, said in states
        ]
    }
