"""Files in, codes or ranked items out; codes in, a file out."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vqmm.data.file_records import read_facts
from vqmm.serving.media import png_of, wav_of
from vqmm.serving.model import ServedModel
from vqmm.serving.read_json import read_json
from vqmm.serving.refused import REFUSALS, Refused
from vqmm.serving.search import SearchOptions, checked, ranked, signature_of
from vqmm.serving.service import Service
from vqmm.serving.workers import Workers, predicted
from vqmm.tokens import MODALITIES

BINARY = {"schema": {"type": "string", "format": "binary"}}
FILE = {"requestBody": {"required": True, "content": {"audio/*": BINARY, "image/*": BINARY}}}
Code = Annotated[int, Field(ge=-1, lt=2**31)]


class Decode(BaseModel):
    """Codes of one item, to become a recording or a picture.

    Attributes:
        modality: what to make.
        shared: its shared codes.
        private: of the modality; None or empty: rebuilt from the shared codes alone.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    modality: Literal["audio", "image"]
    shared: list[Code] = Field(max_length=100_000)
    private: list[Code] | None = Field(default=None, max_length=100_000)


CODES = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": Decode.model_json_schema()}}}
}


def media_routes(service: Service, workers: Workers) -> APIRouter:
    """`/encode`, `/search` and `/decode`."""
    router = APIRouter(responses=REFUSALS)

    @router.post("/encode", openapi_extra=FILE, summary="Codes of a recording or a picture")
    async def encode(request: Request) -> dict[str, Any]:
        no_options(request)
        modality, body = modality_of(request), await request.body()
        with service.use() as (model, _):
            item = await workers.call(model.media.open, body, modality)
            found = await predicted(model, f"encode_{modality}", {modality: item.values}, 422)
            return {
                "modality": modality,
                "shared": found["shared"][0].tolist(),
                "private": found["private"][0].tolist() if "private" in found else None,
                "fingerprint": model.fingerprint,
                "version": model.version,
                **read_facts(item.used, item.notes),
            }

    @router.post("/search", openapi_extra=FILE, summary="Items that fit a recording or a picture, ranked")
    async def search(request: Request, options: Annotated[SearchOptions, Query()]) -> dict[str, Any]:
        named_once(request, "where")
        asked, body = modality_of(request), await request.body()
        with service.use() as (model, index):
            if index is None:
                raise Refused(404, "this service has no index; start it with --index INDEX")
            question = await workers.call(checked, index, options, asked, service.settings.hits)
            item = await workers.call(model.media.open, body, asked)
            found = await predicted(model, signature_of(options, asked), {asked: item.values}, 422)
            hits = await workers.call(ranked, index, found, options, question)
            query = {
                "modality": asked,
                "searched": question.question.wanted,
                "query": options.query,
                "where": question.question.where,
                "reranked": question.reranked,
                "best_possible": index.slots,
                **read_facts(item.used, item.notes),
            }
            return {"query": query, "hits": hits, "version": model.version}

    @router.post(
        "/decode",
        openapi_extra=CODES,
        summary="A picture (PNG) or a recording (WAV) of codes",
        response_class=Response,
        responses={200: {"content": {"image/png": BINARY, "audio/wav": BINARY}}},
    )
    async def decode(request: Request) -> Response:
        no_options(request)
        try:
            asked = Decode.model_validate(read_json(await request.body()))
        except ValidationError as error:
            said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise Refused(422, said[:1000]) from None
        with service.use() as (model, _):
            inputs = _codes(asked, model)
            found = await predicted(model, f"decode_{asked.modality}", inputs, 422)
        if asked.modality == "image":
            return Response(await workers.call(png_of, found["image"][0]), media_type="image/png")
        rate = model.config.data.audio.sample_rate
        return Response(await workers.call(wav_of, found["audio"][0], rate), media_type="audio/wav")

    return router


def modality_of(request: Request) -> str:
    """What the content type says that the body is.

    Raises:
        Refused: 415.
    """
    kind = request.headers.get("content-type", "")
    first = kind.partition("/")[0].strip().lower()
    if first not in MODALITIES:
        raise Refused(
            415,
            f"Content-Type {kind[:80]!r}; legal: audio/wav and the like, image/png and the like, with the "
            "file itself as the body",
        )
    return first


def no_options(request: Request) -> None:
    """Refuses what stands behind the `?` of a route that takes no options.

    Raises:
        Refused: 400.
    """
    names = list(request.query_params)
    if names:
        raise Refused(400, f"{request.url.path} takes no options; received {', '.join(names)[:200]}")


def named_once(request: Request, *several: str) -> None:
    """Refuses an option that is given twice, of which only one value would count.

    Args:
        request: with options behind the `?`.
        several: options that may be given several times.

    Raises:
        Refused: 400.
    """
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if count > 1 and name not in several:
            raise Refused(400, f"{name[:80]} is given {count} times; give it once")


def _codes(asked: Decode, model: ServedModel) -> dict[str, Any]:
    specs = model.signatures[f"decode_{asked.modality}"]["inputs"]
    given = {"shared": asked.shared}
    if "private" in specs:
        given["private"] = asked.private or [-1] * int(np.prod(specs["private"]["shape"][1:]))
    elif asked.private:
        raise Refused(422, "this model has no private codes; leave them out")
    inputs = {}
    for name, codes in given.items():
        shape = specs[name]["shape"][1:]
        if len(codes) != np.prod(shape):
            raise Refused(422, f"{name}: {len(codes)} codes; {int(np.prod(shape))} are legal")
        inputs[name] = np.array(codes, np.int32).reshape(1, *shape)
    return inputs
