"""Gets and unpacks Tux Paint's stamps: Debian package, upstream archive or a folder."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePosixPath

from vqmm.data.sources.debian import download_package, read_archive
from vqmm.errors import UserError

PACKAGE = "tuxpaint-stamps-default"
KEPT = (".png", ".svg", ".ogg", ".wav", ".txt")

_GET_IT = (
    f"download {PACKAGE} from packages.debian.org or tuxpaint-stamps from tuxpaint.org "
    "and name the file, or the folder you unpacked it into, as the source"
)


def unpack_stamps(source: Path | None, folder: Path) -> Path:
    """Leaves the stamps' pictures, sounds and texts under ``folder/stamps``.

    Args:
        source: a ``.deb``, a tar archive or a folder with the stamps; None
            downloads the Debian package with ``apt-get download``, no root needed.
        folder: made where it is missing. Stamps that are there are kept.

    Returns:
        ``folder/stamps``, with a folder per category in it.

    Raises:
        UserError: no apt, no network, or a source that holds no stamps.
    """
    stamps = folder / "stamps"
    if stamps.is_dir():
        return stamps
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as temporary:
        part = Path(temporary) / "stamps"
        part.mkdir()
        try:
            source = source or download_package(PACKAGE, Path(temporary))
            if not source.exists():
                raise UserError(f"no stamps at {source}: there is no such file or folder")
            (_copy_folder if source.is_dir() else _extract)(source, part)
            if not any(path.suffix.lower() in (".png", ".svg") for path in part.rglob("*")):
                raise UserError(f"{source} holds no Tux Paint stamps: no pictures in a folder 'stamps'")
        except UserError as error:
            raise UserError(f"{error}; {_GET_IT}") from None
        part.rename(stamps)
    return stamps


def _copy_folder(source: Path, target: Path) -> None:
    inner = [path for path in (source, *sorted(source.rglob("stamps"))) if path.name == "stamps"]
    root = next((path for path in inner if path.is_dir()), source)
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in KEPT and path.is_file():
            copy = target / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _extract(source: Path, target: Path) -> None:
    for path, data in read_archive(source):
        parts = path.parts
        if "stamps" not in parts or ".." in parts or path.suffix.lower() not in KEPT:
            continue
        copy = target / PurePosixPath(*parts[parts.index("stamps") + 1 :])
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("wb") as file:
            shutil.copyfileobj(data, file)
