"""The service as an ASGI application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from vqmm.errors import nearest
from vqmm.serving.gate import ROUTES, Gate
from vqmm.serving.media_routes import media_routes
from vqmm.serving.predict_routes import predict_routes
from vqmm.serving.refused import Refused
from vqmm.serving.search import SearchOptions
from vqmm.serving.service import Service
from vqmm.serving.workers import Workers
from vqmm.version import __version__

PATHS = (*ROUTES, "/v1/models/vqmm", "/v1/models/vqmm/metadata", "/v1/models/vqmm:predict")


def create_app(service: Service, token: str | None = None) -> FastAPI:
    """Makes the application; it closes the service when it is shut down.

    Args:
        service: that answers.
        token: that clients must send; None: anybody may ask.
    """
    workers = Workers()

    @contextlib.asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await workers.call(service.close)
        workers.close()

    app = FastAPI(title="vqmm", version=__version__, lifespan=life, docs_url=None, redoc_url=None)
    app.include_router(predict_routes(service, workers))
    app.include_router(media_routes(service, workers))

    @app.get("/healthz", summary="Whether the service answers, and with what")
    async def healthz() -> dict[str, object]:
        model, index = service.pair
        items = None if index is None else {name: index.count(name) for name in ("audio", "image")}
        usage = None if index is None else index.code_usage()
        codes = None if usage is None else {"in_use": usage.in_use, "of": usage.codes}
        return {
            "status": "ok",
            "version": model.version,
            "fingerprint": model.fingerprint,
            "items": items,
            "codes": codes,
        }

    @app.get("/metrics", summary="Counters, for Prometheus", response_class=Response)
    async def metrics() -> Response:
        for name, rows in service.pair.model.waiting().items():
            service.metrics.waiting.labels(name).set(rows)
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return JSONResponse({"error": error.reason}, error.status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return JSONResponse({"error": "; ".join(map(_said, error.errors()))[:1000]}, 400)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": _explained(request, error)}, error.status_code, error.headers)

    app.add_middleware(Gate, settings=service.settings, metrics=service.metrics, token=token)
    return app


def _explained(request: Request, error: HTTPException) -> str:
    """The reason of an error of the framework: what came, and what is legal."""
    path = request.url.path[:200]
    if error.status_code == 404:
        return f"there is no {path!r}{nearest(path, PATHS)}; legal: {', '.join(PATHS)}"
    if error.status_code == 405:
        return (
            f"{request.method[:20]} {path!r}; legal: {(error.headers or {}).get('Allow', 'another method')}"
        )
    return str(error.detail)


def _said(error: Mapping[str, Any]) -> str:
    """Of a parameter that is not legal: what came, and what is."""
    name = ".".join(str(part) for part in error["loc"][1:])
    if error["type"] == "extra_forbidden":
        legal = list(SearchOptions.model_fields)
        return f"{name[:80]}: no such option{nearest(name, legal)}; legal: {', '.join(legal)}"
    return f"{name}={str(error.get('input'))[:80]!r}: {error['msg']}"
