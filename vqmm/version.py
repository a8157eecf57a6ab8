"""The version of the installed package."""

import importlib.metadata

try:
    __version__ = importlib.metadata.version("vqmm")
except importlib.metadata.PackageNotFoundError:
    __version__ = "unknown"  # a bare checkout, which nobody installed
