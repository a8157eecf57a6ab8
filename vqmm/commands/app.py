"""Shows a page to try a run by hand."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vqmm.errors import UserError
from vqmm.extras import requires_extra
from vqmm.serving.listen import listen
from vqmm.serving.settings import Settings

if TYPE_CHECKING:
    from vqmm.app.explorer import Explorer
    from vqmm.generation import Studio

DESCRIPTION = "A page: speak and get pictures, draw and get sounds, see the codes, rebuild, generate."
EXAMPLES = """\
  vqmm app --run runs/demo --index runs/demo/index --data data/digits
  vqmm app --run runs/demo --index runs/demo/index --data data/digits --prior runs/digits-prior
  vqmm app --run runs/demo --index runs/demo/index --port 0 --json

Nothing is sent anywhere else, and what was uploaded goes when the page stops, by SIGTERM or Ctrl-C.
Whoever can reach the address can use it: leave --host at this machine, or put something that asks for a
password before it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="run folder that train left")
    parser.add_argument("--index", type=Path, required=True, metavar="INDEX", help="folder that index left")
    parser.add_argument("--data", metavar="DATA", help="the data that was indexed, to show hits as files")
    parser.add_argument("--prior", type=Path, metavar="RUN", help="run folder of a prior, to generate")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="0: any that is free (default: %(default)s)")
    for name, text in (("seconds", "that a sound may last"), ("pixels", "that a picture may have")):
        default = Settings.model_fields[name].default
        parser.add_argument(
            f"--{name}", type=type(default), default=default, help=f"{text} (default: %(default)s)"
        )
    parser.add_argument("--json", action="store_true", help="print the address as JSON when it serves")


def main(args: argparse.Namespace) -> None:
    """Loads, serves, and stops when it is told to."""
    if args.seconds <= 0 or args.pixels < 4:
        raise UserError(f"--seconds {args.seconds:g}, --pixels {args.pixels}: more than 0, and 4 or more")
    # Loaded late here and below, so that a wrong command line is told at once.
    from vqmm.app.server import private_gradio, serve_page

    with listen(args.host, args.port) as listening, private_gradio():
        with requires_extra("app", "the page"):
            from vqmm.app.page import build_page
        page = build_page(*_opened(args))
        host, port = listening.getsockname()[:2]
        url = f"http://{host}:{port}"
        listening.listen(128)  # from now on connections wait instead of being refused
        print(json.dumps({"url": url}) if args.json else f"the page is at {url}", flush=True)
        serve_page(page, listening)


def _opened(args: argparse.Namespace) -> tuple[Explorer, Studio | None]:
    from vqmm.app.explorer import Explorer
    from vqmm.data.records import Dataset
    from vqmm.encoding import codebook_fingerprint
    from vqmm.generation import Studio, settings_of
    from vqmm.retrieval import FaissIndex
    from vqmm.training.prior_run import open_prior
    from vqmm.training.run_folder import open_run

    prior = None if args.prior is None else open_prior(args.prior, args.run)
    opened = open_run(args.run, coded=True) if prior is None else prior.tokenizer
    index = FaissIndex.open(args.index, codebook_fingerprint(opened.model))
    dataset = None if args.data is None else Dataset.open(args.data)
    settings = Settings(seconds=args.seconds, pixels=args.pixels)
    studio = None if prior is None else Studio(prior, settings_of(prior.spec.sampling))
    return Explorer(opened, index, dataset, settings), studio
