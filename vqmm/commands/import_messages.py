"""Hides what TensorFlow's C++ libraries write to standard error while they load.

TensorFlow 2.20 and later log from static constructors, before `TF_CPP_MIN_LOG_LEVEL` is read; each
process would greet its user with a dozen lines about oneDNN and CUDA.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

BANNER = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"
SEVERITIES = "IWE"  # information, warning, error: TF_CPP_MIN_LOG_LEVEL hides as many of them


@contextlib.contextmanager
def startup_messages_hidden() -> Iterator[None]:
    """Removes TensorFlow's startup messages from what the block writes to standard error.

    The lines that `TF_CPP_MIN_LOG_LEVEL` should have hidden are dropped. All others are written once the
    block ends, whether or not it raises.
    """
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0")
    hidden = SEVERITIES[: int(level)] if level.isdecimal() else ""
    if not hidden:
        yield
        return
    startup = re.compile(rf"[{hidden}]\d{{4}} \d\d:\d\d:\d+|{re.escape(BANNER)}")
    sys.stderr.flush()
    terminal = os.dup(2)
    # In memory: a container may have no folder to write to.
    with os.fdopen(os.memfd_create("stderr"), "w+b") as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            written.seek(0)
            for line in written.read().decode(errors="replace").splitlines(keepends=True):
                if not startup.match(line):
                    sys.stderr.write(line)


class _QuietLoader(Loader):
    """Runs another loader with startup messages hidden."""

    def __init__(self, loader: Loader):
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with startup_messages_hidden():
            self._loader.exec_module(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)  # what importlib.resources and inspect ask a loader


class _TensorFlowFinder(MetaPathFinder):
    """Finds TensorFlow where Python would, and has it loaded by `_QuietLoader`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _QuietLoader(spec.loader)
        return spec


def hide_startup_messages() -> None:
    """Makes the first import of TensorFlow in this process quiet, whoever imports it and whenever."""
    if not any(isinstance(finder, _TensorFlowFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TensorFlowFinder())
