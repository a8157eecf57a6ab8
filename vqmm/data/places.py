"""Where prepared data lies: a folder of this machine, or a bucket or server by URL."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from vqmm.errors import UserError
from vqmm.extras import requires_extra


def is_url(place: str | Path) -> bool:
    """Whether a place is of another file system, as `gs://bucket/digits` is."""
    return "://" in str(place)


def located(place: str | Path) -> Path:
    """The folder at a place; for a URL a `upath.UPath`, which has the methods of a path.

    Args:
        place: a path, or a URL of any file system that fsspec has: `gs://`, `s3://`, `https://`, …

    Raises:
        UserError: universal-pathlib is not installed, or what fsspec needs for this kind of URL.
    """
    if not isinstance(place, str):
        return place
    if not is_url(place):
        return Path(place)
    with requires_extra("remote", str(place)):
        from upath import UPath
    try:
        found = UPath(place)
        _ = found.fs  # brings the file system's own package
    except (ImportError, ValueError) as error:
        raise UserError(
            f"{place} cannot be opened: {error}; gs:// needs the package gcsfs, s3:// s3fs, abfs:// adlfs"
        ) from None
    return cast(Path, found)


@contextmanager
def local_file(path: Path) -> Iterator[Path]:
    """The file itself where it is of this machine, else a copy that is gone afterwards.

    Raises:
        FileNotFoundError: it is not there.
        UserError: it cannot be fetched, with what the file system says.
    """
    if not is_url(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        try:
            with path.open("rb") as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except FileNotFoundError:
            raise
        except Exception as error:  # each file system has errors of its own
            raise UserError(
                f"{path} cannot be fetched ({type(error).__name__}: {error}); see to the connection or the "
                "rights, or copy the folder here"
            ) from error
        yield copy
