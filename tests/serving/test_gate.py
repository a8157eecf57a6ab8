import asyncio
import gzip
import json
import logging
import socket
import threading
import time

import httpx
import pytest
import uvicorn

from vqmm.serving.gate import Gate, route_of
from vqmm.serving.json_log import JsonFormatter
from vqmm.serving.metrics import Metrics
from vqmm.serving.settings import Settings

LIMITS = Settings(body_bytes=10, in_flight=2, timeout_s=0.2)


async def echo(scope, receive, send):
    message = await receive()
    if scope["path"] == "/slow":
        await asyncio.sleep(30)
    if scope["path"] == "/broken":
        raise RuntimeError("secret")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def ask(gate, *requests):
    async def all_at_once():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://x") as http:
            return await asyncio.gather(*(http.request(*r[:2], **r[2]) for r in requests))

    return asyncio.run(all_at_once())


def test_a_token_is_wanted_everywhere_but_for_health():
    gate = Gate(echo, LIMITS, Metrics(), "s3cret")
    headers = [{}, {"Authorization": "Bearer s3cre"}, {"Authorization": "Bearer s3cret"}]
    said = ask(gate, *(("POST", "/encode", {"headers": h}) for h in headers), ("GET", "/healthz", {}))
    assert [s.status_code for s in said] == [401, 401, 200, 200]
    assert said[0].headers["www-authenticate"] == "Bearer" and "s3cret" not in said[0].text
    assert ask(Gate(echo, LIMITS, Metrics()), ("GET", "/metrics", {}))[0].status_code == 200


async def parts():
    for _ in range(3):
        yield b"12345"


@pytest.mark.parametrize("content", [b"1" * 11, parts()], ids=["stated", "streamed"])
def test_a_large_body_is_refused_and_a_legal_one_arrives_whole(content):
    gate = Gate(echo, LIMITS, Metrics())
    large, good = ask(gate, ("POST", "/encode", {"content": content}), ("POST", "/", {"content": b"1" * 10}))
    assert large.status_code == 413 and "10 bytes are the most" in large.json()["error"]
    assert good.content == b"1" * 10


def test_too_many_at_once_get_429_and_too_slow_ones_504():
    metrics = Metrics()
    gate = Gate(echo, LIMITS, metrics)
    said = ask(gate, *[("GET", "/slow", {})] * 4, ("GET", "/healthz", {}))
    assert sorted(s.status_code for s in said) == [200, 429, 429, 504, 504]
    assert {s.headers["retry-after"] for s in said if s.status_code == 429} == {"1"}
    assert gate.in_flight == 0
    count = metrics.registry.get_sample_value("vqmm_requests_total", {"route": "other", "status": "429"})
    assert count == 2


@pytest.mark.parametrize("goes", [True, False])
def test_the_work_ends_when_the_client_goes_or_its_time_is_over(goes):
    ended, sent, metrics = [], [], Metrics()
    scope = {"type": "http", "method": "POST", "path": "/encode", "headers": []}

    async def work(scope, receive, send):
        await receive()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    async def talk():
        messages = [{"type": "http.request", "body": b"1"}]

        async def receive():
            if messages:
                return messages.pop()
            await asyncio.sleep(0.05 if goes else 30)
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        gate = Gate(work, LIMITS, metrics)
        await asyncio.wait_for(gate(scope, receive, send), 5)
        assert gate.in_flight == 0

    asyncio.run(talk())
    assert ended == [True]
    assert [m["status"] for m in sent if "status" in m] == ([] if goes else [504])
    count = {"route": "/encode", "status": "499" if goes else "504"}
    assert metrics.registry.get_sample_value("vqmm_requests_total", count) == 1


def test_a_closed_connection_ends_the_work_and_an_open_one_serves_on():
    ended, metrics = threading.Event(), Metrics()

    async def work(scope, receive, send):
        if scope["path"] == "/slow":
            try:
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                ended.set()
                raise
        await echo(scope, receive, send)

    gate = Gate(work, Settings(timeout_s=20), metrics)
    server = uvicorn.Server(uvicorn.Config(gate, log_level="error", lifespan="off"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.02)
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(url + "/slow", content=b"1" * 100_000, timeout=0.5)
            assert ended.wait(5)
            with httpx.Client(base_url=url) as http:  # one connection for all
                for count in range(20):
                    sent = gzip.compress(b"1" * count)
                    said = http.post("/encode", content=sent, headers={"Content-Encoding": "gzip"})
                    assert said.content == b"1" * count
        finally:
            server.should_exit = True
            thread.join(10)
    assert metrics.registry.get_sample_value("vqmm_in_flight") == 0


def test_a_compressed_body_is_inflated_up_to_the_limit():
    gate, headers = Gate(echo, Settings(body_bytes=40), Metrics()), {"Content-Encoding": "gzip"}
    bodies = [gzip.compress(b"12"), gzip.compress(b"1" * 41), b"1234"]
    said = ask(gate, *(("POST", "/encode", {"content": b, "headers": headers}) for b in bodies))
    assert [s.status_code for s in said] == [200, 413, 400] and said[0].content == b"12"


def test_a_failure_is_logged_and_not_told(caplog):
    logging.getLogger("vqmm.serving").propagate = True
    with caplog.at_level(logging.INFO, "vqmm.serving"):
        (said,) = ask(Gate(echo, LIMITS, Metrics()), ("GET", "/broken", {}))
    assert said.status_code == 500 and "secret" not in said.text
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert "RuntimeError: secret" in lines[0]["traceback"] and lines[0]["level"] == "error"
    assert lines[1]["event"] == "request" and lines[1]["status"] == 500 and lines[1]["path"] == "/broken"


def test_routes_are_few():
    paths = ["/v1/models/vqmm/versions/12:predict", "/v1/models/x/metadata", "/v1/models/y", "/etc/passwd"]
    assert [route_of(p) for p in paths] == [
        "/v1/models:predict",
        "/v1/models/metadata",
        "/v1/models",
        "other",
    ]
