"""Debian packages without root: fetched with apt-get, read as the archives they are."""

from __future__ import annotations

import lzma
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from vqmm.errors import UserError


class Member(NamedTuple):
    """A regular file of an archive; `data` can be read until the next one is asked for."""

    path: PurePosixPath
    data: IO[bytes]


def download_package(name: str, folder: Path) -> Path:
    """Runs ``apt-get download`` and returns the ``.deb`` that it left in `folder`.

    Raises:
        UserError: no apt-get, no network or no such package.
    """
    apt = shutil.which("apt-get")
    if apt is None:
        raise UserError(f"this machine has no apt-get to fetch {name} with")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([apt, "download", name], cwd=folder, capture_output=True, text=True, check=False)
    found = sorted(folder.glob(f"{name}_*.deb"))
    if done.returncode or not found:
        why = " ".join(done.stderr.split())[-300:] or "apt-get left no file"
        raise UserError(f"apt-get download {name} failed: {why}; try 'apt-get update' first")
    return found[-1]


def read_archive(source: Path) -> Iterator[Member]:
    """Yields the regular files of a ``.deb`` or a tar archive, in its order.

    Raises:
        UserError: where it is neither, cut short, or a ``.deb`` packed with zstd.
    """
    try:
        with _open_tar(source) as archive:
            for member in archive:
                data = archive.extractfile(member) if member.isfile() else None
                if data is not None:
                    yield Member(PurePosixPath(member.name), data)
    except (tarfile.TarError, EOFError, lzma.LZMAError, ValueError) as error:
        raise UserError(f"{source} is not a readable .deb or tar archive ({error})") from None


@contextmanager
def _open_tar(source: Path) -> Iterator[tarfile.TarFile]:
    with source.open("rb") as file:
        if file.read(8) == b"!<arch>\n":
            _seek_data(file, source)
        else:
            file.seek(0)
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            yield archive


def _seek_data(file: IO[bytes], source: Path) -> None:
    """Moves to the start of ``data.tar.*`` in a .deb, which is an ``ar`` archive of three members."""
    while len(header := file.read(60)) == 60:
        name, size = header[:16].decode("ascii", "replace").strip(" /"), int(header[48:58])
        if name == "data.tar.zst":
            raise UserError(f"{source} is packed with zstd: unpack it with 'dpkg -x' and name the folder")
        if name.startswith("data.tar"):
            return
        file.seek(size + size % 2, 1)
    raise tarfile.ReadError("no data.tar in it")
