"""An application as the far end of a client, without a socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import httpx


class InProcess(httpx.BaseTransport):
    """Runs an ASGI application in an event loop of its own; clients of many threads may use it."""

    def __init__(self, app):
        self.app = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()

        async def answer() -> httpx.Response:
            sent = httpx.Request(request.method, request.url, headers=request.headers, content=body)
            found = await self.app.handle_async_request(sent)
            return httpx.Response(found.status_code, headers=found.headers, content=await found.aread())

        return asyncio.run_coroutine_threadsafe(answer(), self.loop).result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@contextlib.contextmanager
def client_of(app) -> Iterator[httpx.Client]:
    with httpx.Client(transport=InProcess(app), base_url="http://vqmm", timeout=60) as http:
        yield http
