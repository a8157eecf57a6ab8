"""Resolves the paths that a manifest names: files below its folder, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path


def path_below(folder: Path, name: str) -> Path:
    """Resolves a name to a path below a folder, links followed. Whether a file is there is not looked at.

    Args:
        folder: of the manifest, links resolved.
        name: as the manifest has it.

    Raises:
        ValueError: the name is a URL, a path of Windows, no path, or leaves the folder. The message
            goes on from the name and says how to mend it.
    """
    if re.match(r"(?i)file:/", name):
        raise ValueError("is a file URL, not read; write the path alone, relative to the manifest")
    if re.match(r"(?i)([a-z][a-z0-9+.-]+://|data:)", name):
        raise ValueError(
            "is a URL, which is not fetched; download the file beside the manifest and write its path"
        )
    if re.match(r"[A-Za-z]:[\\/]|\\\\", name):
        raise ValueError(
            "is a path of Windows, which this machine has none of; copy the file beside the manifest and "
            "write its path relative to that, with /"
        )
    if "\0" in name:
        raise ValueError("holds a NUL character, which no path has; write the path without it")
    try:
        path = (folder / name).resolve()
        if "\\" in name and not path.exists():
            raise ValueError("has backslashes, and there is no such file; write / between folders")
    except (OSError, RuntimeError) as error:  # a name too long, a link to itself
        raise ValueError(f"cannot be followed ({' '.join(str(error).split())}); write another path") from None
    if not path.is_relative_to(folder):
        raise ValueError(
            "leaves the manifest's folder, not read; move the file there, or the manifest above it"
        )
    return path
