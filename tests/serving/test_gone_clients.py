"""A client that sends much work and goes away: the next one is served as if it had never come."""

import asyncio
import base64
import json
import time

import numpy as np
import pytest

from vqmm.serving.app import create_app

PREDICT = "/v1/models/vqmm:predict"


async def post(app, body, gone_after=None):
    """Status and body of an answer; the client goes away after some seconds."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": PREDICT,
        "raw_path": PREDICT.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    messages, sent = [{"type": "http.request", "body": json.dumps(body).encode()}], []

    async def receive():
        if messages:
            return messages.pop()
        await asyncio.sleep(gone_after or 60)
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return [m["status"] for m in sent if "status" in m], b"".join(m.get("body", b"") for m in sent)


@pytest.mark.parametrize("signature", ["encode_image", "encode_image_bytes"])
def test_the_next_request_is_served_promptly(served, monkeypatch, signature):
    batcher = served.service.pair.model._batchers[signature]
    run, rows = batcher._run, []

    def slow(inputs):
        count = len(next(iter(inputs.values())))
        rows.append(count)
        time.sleep(0.2 * count)
        return run(inputs)

    monkeypatch.setattr(batcher, "_run", slow)
    if signature == "encode_image":
        item = served.codec.items["image"][1].tolist()
    else:
        item = {"b64": base64.b64encode((served.files / "test1.png").read_bytes()).decode()}

    async def talk():
        app = create_app(served.service)
        many = {"signature_name": signature, "instances": [item] * 8}
        clients = [asyncio.create_task(post(app, many, gone_after=0.2)) for _ in range(2)]
        assert [await client for client in clients] == [([], b"")] * 2
        started = time.monotonic()
        answer = await post(app, {"signature_name": signature, "instances": [item]})
        return time.monotonic() - started, answer

    took, (status, body) = asyncio.run(talk())
    assert status == [200]
    expected = served.codec.model.encode(image=served.codec.items["image"][1:2]).shared[0]
    np.testing.assert_array_equal(json.loads(body)["predictions"][0]["shared"], expected)
    assert took < 2.5 and sum(rows) <= 9  # all of it would have taken 3.2 s
