"""Requests that nobody should send: by the OpenAPI and against it, damaged files, bent JSON."""

from __future__ import annotations

import base64
import copy
import functools
import gzip
import io
import json
from typing import Any, NamedTuple

import httpx
import numpy as np
import requests
import schemathesis
import soundfile
from hypothesis import strategies as st
from PIL import Image
from schemathesis import GenerationMode

PREDICT = "/v1/models/vqmm:predict"
NAMES = [f"{verb}_{modality}" for verb in ("encode", "embed", "decode") for modality in ("audio", "image")]
NAMES += ["encode_audio_bytes", "encode_image_bytes", "serving_default", ""]
EDGES = [
    0,
    1,
    -1,
    127,
    2**15,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    10**30,
    1e39,
    1e-320,
    float("nan"),
    float("inf"),
]


BOMB = gzip.compress(bytes(64 * 2**20))  # 64 KB


class Sent(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes

    def __repr__(self) -> str:
        body = f"{self.content[:200]!r} ({len(self.content)} bytes)"
        return f"{self.method} {self.path[:200]} {self.headers.get('Content-Type')} {body}"

    def by(self, http: httpx.Client) -> httpx.Response:
        return http.request(self.method, self.path, headers=self.headers, content=self.content)


def every_kind(openapi: dict[str, Any]) -> st.SearchStrategy[Sent]:
    """Requests with a body, of all kinds alike."""
    bodies = st.one_of(against_schema(openapi), damaged_files(), bent_calls(), coded_files(), scaled_items())
    return st.one_of(bodies, compressed(bodies))


def against_schema(openapi: dict[str, Any]) -> st.SearchStrategy[Sent]:
    """What schemathesis makes of the interface, mostly what it forbids."""
    openapi = copy.deepcopy(openapi)
    # It cannot negate a file: of /search, its options are left to it, and `damaged_files` does the rest.
    for path in ("/encode", "/search"):
        del openapi["paths"][path]["post"]["requestBody"]
    made = []
    for found in schemathesis.openapi.from_dict(openapi).get_all_operations():
        operation = found.ok()
        if operation.method.lower() == "post" and operation.path != "/encode":
            made += [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
    return st.one_of(made).map(_prepared)


def _prepared(case: Any) -> Sent:
    asked = case.as_transport_kwargs(base_url="http://vqmm")
    asked = {name: asked[name] for name in ("method", "url", "params", "json", "data") if name in asked}
    sent = requests.Request(**asked).prepare()
    path = sent.url.removeprefix("http://vqmm")[:8000]  # clients refuse what is far longer
    if path.startswith("/search"):
        return Sent("POST", path, {"Content-Type": "image/png"}, _png())
    body = sent.body or b""
    headers = {"Content-Type": case.media_type or "text/plain"}
    return Sent(sent.method, path, headers, body.encode() if isinstance(body, str) else body)


@functools.cache
def _png() -> bytes:
    return files()["image"][0]


def files() -> dict[str, list[bytes]]:
    """Legal files of every format that is read."""
    tone = 0.5 * np.sin(np.arange(600))
    made: dict[str, list[bytes]] = {"audio": [], "image": []}
    for kind, subtype in (("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", None), ("OGG", None), ("MP3", None)):
        buffer = io.BytesIO()
        soundfile.write(buffer, tone, 8000, format=kind, subtype=subtype)
        made["audio"].append(buffer.getvalue())
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP"):
        buffer = io.BytesIO()
        Image.linear_gradient("L").resize((12, 9)).save(buffer, kind)
        made["image"].append(buffer.getvalue())
    return made


def damaged_files() -> st.SearchStrategy[Sent]:
    """A file with a few bytes overwritten, cut, or doubled, sometimes as the other modality."""
    held = files()

    @st.composite
    def make(draw: Any) -> Sent:
        modality = draw(st.sampled_from(["audio", "image"]))
        data = bytearray(draw(st.sampled_from(held[modality])))
        for _ in range(draw(st.integers(1, 4))):
            place = draw(st.integers(0, min(len(data), 120)))  # headers are what programs trip over
            part = draw(
                st.binary(max_size=4) | st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
            )
            data[place : place + len(part)] = part
        data = data[: draw(st.integers(0, len(data)) | st.just(len(data)))]
        route = draw(st.sampled_from(["/encode", "/search", "/search?query=codes&where=label%3D1", PREDICT]))
        if route == PREDICT:
            coded = {"b64": base64.b64encode(bytes(data)).decode()}
            body = {"signature_name": f"encode_{modality}_bytes", "instances": [coded]}
            return Sent("POST", route, {"Content-Type": "application/json"}, json.dumps(body).encode())
        told = draw(st.sampled_from([modality] * 8 + ["audio", "image"]))
        return Sent("POST", route, {"Content-Type": f"{told}/x"}, bytes(data))

    return make()


def bent_calls() -> st.SearchStrategy[Sent]:
    """JSON that is nearly a prediction, or nearly codes to decode."""
    names = st.sampled_from([*NAMES, "shared", "private", "audio", "image", "b64", "instances"])
    leaves = st.none() | st.booleans() | st.sampled_from(EDGES) | st.integers() | st.floats() | names
    anything = st.recursive(
        leaves | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=8,
    )
    codes = st.lists(st.sampled_from([0, 1, 2, -1, 7, 19, 20, *EDGES]), min_size=1, max_size=3)
    inputs = st.fixed_dictionaries({"shared": codes | anything}, optional={"private": codes | anything})
    calls = st.fixed_dictionaries(
        {"signature_name": st.sampled_from(NAMES) | leaves},
        optional={"instances": anything | st.lists(inputs, max_size=3), "inputs": anything | inputs},
    )
    decode = st.fixed_dictionaries(
        {"modality": st.sampled_from(["audio", "image"]) | leaves, "shared": codes | anything},
        optional={"private": codes | anything, "more": leaves},
    )
    text = (calls | decode | anything).map(lambda value: json.dumps(value).encode())
    torn = st.tuples(text, st.integers(0, 60)).map(lambda pair: pair[0][: pair[1]])
    bodies = text | torn | st.binary(max_size=60)
    kinds = st.sampled_from(["application/json", "text/plain", "audio/wav", ""])
    routes = st.sampled_from([PREDICT, "/decode", "/v1/models/vqmm/versions/1:predict"])
    return st.builds(
        lambda path, kind, body: Sent("POST", path, {"Content-Type": kind}, body), routes, kinds, bodies
    )


def coded_files() -> st.SearchStrategy[Sent]:
    """A legal file in the forms that people write it into JSON, some of them legal."""
    held = files()

    def lines(text: str) -> str:
        return "\r\n".join(text[start : start + 60] for start in range(0, len(text), 60))

    forms = [
        lambda text: {"b64": lines(text)},
        lambda text: {"b64": text.rstrip("=")},
        lambda text: {"b64": text.translate(str.maketrans("+/", "-_"))},
        lambda text: {"b64": "data:image/png;base64," + text},
        lambda text: {"b64": text, "more": text},
        lambda text: {"b64": [text]},
        lambda text: {"b64": text + "="},
        lambda text: text,
        lambda text: list(text[:50].encode()),
    ]

    @st.composite
    def make(draw: Any) -> Sent:
        modality = draw(st.sampled_from(["audio", "image"]))
        text = base64.b64encode(draw(st.sampled_from(held[modality]))).decode()
        file = draw(st.sampled_from(forms))(text)
        key, name = draw(st.sampled_from(["inputs", "instances"])), f"{modality}_bytes"
        value = draw(
            st.sampled_from([file, [file], [file] * 3, {name: file}, {name: [file]}, [{name: file}]])
        )
        body = json.dumps({"signature_name": f"encode_{modality}_bytes", key: value})
        if draw(st.integers(0, 5)) == 0:  # a key that stands twice
            body = body[:-1] + ", " + body[1:]
        return Sent("POST", PREDICT, {"Content-Type": "application/json"}, body.encode())

    return make()


def scaled_items() -> st.SearchStrategy[Sent]:
    """Items of the right shape with values of other scales; the sizes are those of the tests' model."""
    shapes = {"audio": (1024,), "image": (16, 16, 1)}

    def make(verb: str, modality: str, low: float, high: float, rows: int) -> Sent:
        items = np.resize([low, high], (rows, *shapes[modality]))
        body = {"signature_name": f"{verb}_{modality}", "inputs": items.tolist()}
        return Sent("POST", PREDICT, {"Content-Type": "application/json"}, json.dumps(body).encode())

    ends = st.sampled_from([0.0, 1.0, -1.0, 1.5, 255.0, -32768.0, 1e30, 1e39, float("nan"), float("inf")])
    verbs, modalities = st.sampled_from(["encode", "embed"]), st.sampled_from(["audio", "image"])
    return st.builds(make, verbs, modalities, ends, ends, st.integers(1, 3))


def compressed(bodies: st.SearchStrategy[Sent]) -> st.SearchStrategy[Sent]:
    """The same bodies with a `Content-Encoding`: right, cut, doubled, wrong, or far larger inside."""

    def make(sent: Sent, coding: str, damage: str, place: int) -> Sent:
        packed = gzip.compress(sent.content)
        changed = {
            "none": packed,
            "cut": packed[: place % (len(packed) + 1)],
            "doubled": packed * 2,
            "not packed": sent.content,
            "bomb": BOMB,
        }[damage]
        return Sent(sent.method, sent.path, {**sent.headers, "Content-Encoding": coding}, changed)

    codings = st.sampled_from(["gzip"] * 6 + ["identity", "br", "deflate", "gzip, gzip", "", "x" * 200])
    damages = st.sampled_from(["none"] * 3 + ["cut", "doubled", "not packed", "bomb"])
    return st.builds(make, bodies, codings, damages, st.integers(0, 10_000))
