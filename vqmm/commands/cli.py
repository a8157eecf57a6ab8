"""What every verb shares: argument parsing, one-line errors, exit codes.

A verb's module defines ``DESCRIPTION``, ``EXAMPLES``, ``add_arguments(parser)`` and
``main(args) -> int | None``; `vqmm.commands.launch` finds and runs it.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow loads: no banner in users' faces
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from vqmm.commands.import_messages import hide_startup_messages  # noqa: E402  (before TensorFlow loads)

hide_startup_messages()

from vqmm.data.places import is_url  # noqa: E402  (after the environment is set)
from vqmm.errors import UserError  # noqa: E402  (after the environment is set)
from vqmm.plain_reason import plain_reason  # noqa: E402  (after the environment is set)
from vqmm.shipped_configs import config_names, folder_names  # noqa: E402  (after the environment is set)
from vqmm.system_errors import mend_of  # noqa: E402  (after the environment is set)


def run(
    verb: str,
    description: str,
    examples: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    main: Callable[[argparse.Namespace], int | None],
    program: str | None = None,
    argv: Sequence[str] | None = None,
) -> None:
    """Parses the command line, runs `main` and exits: 0, or 2 for the user's mistake.

    Args:
        verb: its name, which begins the line of an error.
        description: one sentence for the help text.
        examples: lines of examples for the help text.
        add_arguments: declares the options.
        main: does the work and returns the exit status; None is 0.
        program: what a user types; None is `vqmm VERB`.
        argv: the words after the verb; None takes those of this process.
    """
    parser = argparse.ArgumentParser(
        prog=program or f"vqmm {verb}",
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args(argv)
    try:
        sys.exit(main(args) or 0)
    except UserError as error:
        if args.debug:
            traceback.print_exc()
        print(f"{verb}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if args.debug or error.errno is None:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"{verb}: {error.strerror}{where}; {mend_of(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{verb}: interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if args.debug or not _of_tensorflow(error):
            raise
        said = f"{verb}: TensorFlow failed: {plain_reason(error)}; --debug shows where"
        print(said, file=sys.stderr)
        sys.exit(1)


def _of_tensorflow(error: Exception) -> bool:
    """Returns whether it is a `tf.errors.OpError`, by name: a verb need not load TensorFlow."""
    names = [(kind.__module__.partition(".")[0], kind.__name__) for kind in type(error).__mro__]
    return ("tensorflow", "OpError") in names


def local_path(text: str) -> Path:
    """A path that is written to, and so must be of this machine.

    Raises:
        argparse.ArgumentTypeError: it is a URL.
    """
    if is_url(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is a URL, and files are written to this machine's folders alone; prepared data may be "
            "copied there afterwards and read by --data URL"
        )
    return Path(text)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds `--config`, whose help lists the names of the shipped configs of the top level."""
    names = config_names()
    top = ", ".join(name for name in names if "/" not in name)
    folders = ", ".join(f"{folder}/NAME" for folder in folder_names())
    parser.add_argument(
        "--config",
        required=True,
        metavar="CONFIG",
        help=f"a YAML file, or the name of a shipped config: {top}, {folders}",
    )


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Adds `--set`, which takes one or several values and may itself be repeated: one rule for all verbs."""
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="override keys of the config, as train.steps=500 seed=1; later ones count",
    )


def add_runner(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say who does the work: processes of this machine, or Apache Beam."""
    parser.add_argument(
        "--runner", choices=("local", "beam"), default="local", help="who does the work (default: local)"
    )
    parser.add_argument(
        "--beam",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
        help="options of Beam, as runner=FlinkRunner; all its workers must see the folders given here",
    )


def beam_options(args: argparse.Namespace) -> list[str] | None:
    """Beam's options, None where the work is done here.

    Raises:
        UserError: there are some, and the runner is another one.
    """
    if args.runner == "beam":
        return args.beam or []
    if args.beam:
        raise UserError(f"--beam {' '.join(args.beam)} goes with --runner beam")
    return None
