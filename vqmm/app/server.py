"""The page as a server that keeps to itself and stops when it is told to."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Iterator

# What Gradio would otherwise do by itself: call home, keep runs, offer tools to other programs.
ALONE = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
UPLOAD = "16mb"
DRAIN_S = 3  # seconds for open connections at the end: a browser keeps one for as long as it shows the page


@contextlib.contextmanager
def private_gradio() -> Iterator[None]:
    """Gradio without calls to others, its files in a folder that goes; enter it before Gradio is imported."""
    with tempfile.TemporaryDirectory(prefix="vqmm-app-", ignore_cleanup_errors=True) as folder:
        os.environ.update(ALONE, GRADIO_TEMP_DIR=folder)
        yield


def serve_page(page: object, listening: socket.socket) -> None:
    """Serves until SIGTERM or Ctrl-C.

    Args:
        page: of `vqmm.app.page.build_page`.
        listening: of `vqmm.serving.listen.listen`, already accepting.
    """
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI

    from vqmm.app.look import CSS, HEAD, theme

    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=True,
        max_file_size=UPLOAD,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        css_paths=CSS,
        head=HEAD,
    )
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, server_header=False, timeout_graceful_shutdown=DRAIN_S
    )
    # uvicorn raises the signal again when it has stopped: that is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])
