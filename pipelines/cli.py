"""What every verb shares: argument parsing, one-line errors, exit codes.

A verb module defines ``add_arguments(parser)`` and ``main(args) -> int | None``
and ends with ``if __name__ == "__main__": run(...)``.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow loads: no banner in users' faces
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from vqmm.errors import UserError  # noqa: E402  (after the environment is set)


def run(
    verb: str,
    description: str,
    examples: str,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    main: Callable[[argparse.Namespace], int | None],
    package: str = "pipelines",
) -> None:
    """Parses the command line, runs `main` and exits: 0, or 2 for the user's mistake."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {package}.{verb}",
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
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
        print(f"{verb}: {error.strerror}{where}; free some space or choose another folder", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{verb}: interrupted", file=sys.stderr)
        sys.exit(130)
