"""Finds a verb and runs it: what `vqmm VERB` and `python -m pipelines.VERB` both call."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import Protocol

from vqmm.commands.cli import run

# In the order in which a user meets them.
VERBS = (
    "prepare",
    "train",
    "evaluate",
    "index",
    "query",
    "tokenize",
    "reconstruct",
    "generate",
    "compare",
    "export",
    "serve",
    "app",
    "doctor",
    "completion",
)


class Verb(Protocol):
    """What the module of a verb holds."""

    DESCRIPTION: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares the options."""

    def main(self, args: argparse.Namespace) -> int | None:
        """Does the work and returns the exit status; None is 0."""


def verb_module(name: str) -> Verb:
    """Imports the module of one verb, and of no other: a help text need not wait for all of them.

    Args:
        name: one of `VERBS`.
    """
    return importlib.import_module(f"vqmm.commands.{name}")


def launch(name: str, argv: Sequence[str] | None = None) -> None:
    """Runs one verb and exits: 0, or 2 for the user's mistake.

    Args:
        name: one of `VERBS`.
        argv: the words after the verb; None takes those of this process.
    """
    verb = verb_module(name)
    run(name, verb.DESCRIPTION, verb.EXAMPLES, verb.add_arguments, verb.main, argv=argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `vqmm VERB …`, the console script.

    Args:
        argv: the words after `vqmm`; None takes those of this process.
    """
    parser = argparse.ArgumentParser(
        prog="vqmm",
        description="Shared discrete tokens of sound and sight: one verb for each step.",
        epilog="vqmm VERB --help shows the options of a verb, and examples.",
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help=", ".join(VERBS))
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="…", help="what the verb takes")
    args = parser.parse_args(argv)
    launch(args.verb, args.words)
