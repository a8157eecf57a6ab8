"""Prints a script that completes verbs and options in a shell."""

from __future__ import annotations

import argparse

from vqmm.extras import requires_extra

DESCRIPTION = "Prints a script by which a shell completes verbs, options and file names."
EXAMPLES = """\
  vqmm completion bash > ~/.local/share/bash-completion/completions/vqmm
  vqmm completion zsh > ~/.zfunc/_vqmm"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("shell", choices=("bash", "zsh"), help="the shell that will read it")


def main(args: argparse.Namespace) -> None:
    """Prints the script."""
    with requires_extra("completion", "completion in a shell"):
        import shtab

    from vqmm.commands.launch import VERBS, verb_module

    parser = argparse.ArgumentParser(prog="vqmm")
    verbs = parser.add_subparsers()
    for name in VERBS:
        verb = verb_module(name)
        options = verbs.add_parser(name, help=verb.DESCRIPTION)
        verb.add_arguments(options)
        for action in options._actions:
            if action.nargs != 0 and not action.choices:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, shell=args.shell))
