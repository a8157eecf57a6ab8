"""What every request passes: token, limits, time, the count and the log."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from vqmm.serving.inflate import inflated
from vqmm.serving.metrics import Metrics
from vqmm.serving.refused import Refused
from vqmm.serving.settings import Settings

log = logging.getLogger("vqmm.serving")
Message = MutableMapping[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
OPEN = ("/healthz",)  # without a token, and while the service is full
CLIENT_GONE = 499  # status in log and metrics, as nginx has it: nobody receives it
ROUTES = ("/encode", "/search", "/decode", "/healthz", "/metrics", "/openapi.json")


class Gate:
    """ASGI middleware that refuses before anything is parsed.

    The body is read and inflated here, up to `settings.body_bytes`, so that a handler always has it
    whole. A handler is cancelled when its client is gone or its time is over.

    Args:
        app: that answers.
        settings: limits.
        metrics: counters.
        token: that `Authorization: Bearer` must carry; None: none.
    """

    def __init__(self, app: App, settings: Settings, metrics: Metrics, token: str | None = None) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics
        self.token = None if token is None else token.encode()
        self.in_flight = 0

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, complete = time.perf_counter(), 0, False

        async def tell(message: Message) -> None:
            nonlocal status, complete
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        self.in_flight += 1
        self.metrics.in_flight.set(self.in_flight)
        size = 0
        try:
            self._admit(scope)
            async with asyncio.timeout(self.settings.timeout_s):
                body = await self._body(receive)
                size = len(body)
                body = await inflated(body, scope, self.settings.body_bytes)
                work = asyncio.ensure_future(self.app(_plain(scope), _replay(body), tell))
                if not await _finished(work, receive) and not complete:
                    status = status or CLIENT_GONE
        except Refused as error:
            if not status:
                await refuse(tell, error)
        except TimeoutError:
            if not status:
                await refuse(tell, Refused(504, f"no answer within {self.settings.timeout_s:g} s", 1))
        except Exception:  # a fault of ours: logged whole, and told without its inside
            log.exception("failed", extra={"facts": {"path": scope["path"]}})
            if not status:
                await refuse(tell, Refused(500, "the service failed; its log tells why"))
        finally:
            self.in_flight -= 1
            self.metrics.in_flight.set(self.in_flight)
            seconds, route = time.perf_counter() - started, route_of(scope["path"])
            self.metrics.requests.labels(route, status).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            facts = {"method": scope["method"], "path": scope["path"], "status": status, "bytes": size}
            log.info("request", extra={"facts": {**facts, "ms": round(seconds * 1000, 2)}})

    def _admit(self, scope: Message) -> None:
        headers = dict(scope["headers"])
        if scope["path"] in OPEN:
            return
        if self.token is not None:
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, b"Bearer " + self.token):
                raise Refused(401, "this service wants a token: send 'Authorization: Bearer TOKEN'")
        if self.in_flight > self.settings.in_flight:
            raise Refused(429, f"{self.settings.in_flight} requests are being worked on; try again", 1)
        stated = headers.get(b"content-length", b"0")
        if stated.isdigit() and len(stated) < 20 and int(stated) > self.settings.body_bytes:
            raise _too_large(self.settings.body_bytes)

    async def _body(self, receive: Any) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "the request ended before its body")
            body += message.get("body", b"")
            if len(body) > self.settings.body_bytes:
                raise _too_large(self.settings.body_bytes)
            if not message.get("more_body", False):
                return bytes(body)


async def refuse(send: Any, error: Refused) -> None:
    """Sends an error as TensorFlow Serving does: `{"error": reason}`."""
    body = json.dumps({"error": error.reason}).encode()
    await send(
        {"type": "http.response.start", "status": error.status, "headers": headers_of(error, len(body))}
    )
    await send({"type": "http.response.body", "body": body})


def headers_of(error: Refused, length: int) -> list[tuple[bytes, bytes]]:
    """Of the answer that is an error."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


def route_of(path: str) -> str:
    """A path as a label of which there are few."""
    if path.startswith("/v1/models/"):
        for end in (":predict", "/metadata"):
            if path.endswith(end):
                return f"/v1/models{end}"
        return "/v1/models"
    return path if path in ROUTES else "other"


def _too_large(most: int) -> Refused:
    return Refused(413, f"the body is too large; {most} bytes are the most")


def _replay(body: bytes) -> Any:
    """The request as the application receives it: its body, and then nothing more."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()  # `Gate` itself ends the work when the client is gone
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _finished(work: asyncio.Future[None], receive: Any) -> bool:
    """Returns whether the work came to its end; it is cancelled when the client goes or this is cancelled."""
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await work  # raises what it raised
        return work.done()
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _plain(scope: Message) -> Message:
    """The request without the coding that `inflated` has undone."""
    kept = [(name, value) for name, value in scope["headers"] if name != b"content-encoding"]
    return {**scope, "headers": kept}
