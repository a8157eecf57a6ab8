"""Serves an exported model and an index over HTTP."""

from __future__ import annotations

import argparse
import json
import signal
from pathlib import Path

from vqmm.errors import UserError
from vqmm.extras import requires_extra
from vqmm.serving.listen import listen
from vqmm.serving.settings import Settings
from vqmm.serving.versions import versions_folder

DESCRIPTION = "Serves a SavedModel and an index: TensorFlow Serving's REST interface, and search by files."
EXAMPLES = """\
  vqmm serve --export runs/demo/export --index runs/demo/index
  vqmm serve --export runs/demo/export --port 8601 --token-file token.txt
  curl --data-binary @seven.wav -H 'Content-Type: audio/wav' 'localhost:8501/search?k=5'
  curl localhost:8501/v1/models/vqmm

A newer version of the export, and a changed index, are taken up while it runs. Logs go to standard error, one
JSON object a line. SIGTERM and Ctrl-C stop it when the accepted requests are answered."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("--export", type=Path, required=True, metavar="DIR", help="folder that export left")
    parser.add_argument("--index", type=Path, metavar="INDEX", help="folder that index left, for /search")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8501, help="0: any that is free (default: %(default)s)")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="holds the token that clients must send"
    )
    for name, field in Settings.model_fields.items():
        option, kind = f"--{name.replace('_', '-')}", type(field.default)
        text = f"{field.description} (default: %(default)s)"
        parser.add_argument(option, type=kind, default=field.default, metavar="N", help=text)
    parser.add_argument(
        "--json", action="store_true", help="print address and version as JSON when it serves"
    )


def main(args: argparse.Namespace) -> None:
    """Loads, serves, and stops when it is told to."""
    settings = _settings(args)
    token = _token(args.token_file)
    versions_folder(args.export)
    listening = listen(args.host, args.port)
    with requires_extra("serve", "the service"):
        import uvicorn

        # Loaded late, so that a wrong command line is told at once.
        from vqmm.serving.app import create_app
        from vqmm.serving.json_log import log_as_json
        from vqmm.serving.service import Service
    log_as_json()
    service = Service(args.export, args.index, settings)
    config = uvicorn.Config(
        create_app(service, token),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.drain_s) or 1,
    )
    host, port = listening.getsockname()[:2]
    facts = {"url": f"http://{host}:{port}", "version": service.pair.model.version}
    listening.listen(1024)  # from now on connections wait instead of being refused
    print(json.dumps(facts) if args.json else f"version {facts['version']} at {facts['url']}", flush=True)
    # uvicorn raises the signal again when it has stopped: that is no failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])


def _settings(args: argparse.Namespace) -> Settings:
    from pydantic import ValidationError

    try:
        return Settings(**{name: getattr(args, name) for name in Settings.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise UserError(f"--{option} {first['input']}: {first['msg'].lower()}") from None


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    if not path.is_file():
        raise UserError(f"--token-file {path}: no such file")
    token = path.read_text(encoding="utf-8").strip()
    if not token or not token.isascii() or len(token.split()) != 1:
        raise UserError(f"--token-file {path} must hold one word of ASCII, the token")
    return token
