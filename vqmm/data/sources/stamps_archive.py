"""Gets and unpacks Tux Paint's stamps: Debian package, upstream archive or a folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from vqmm.data.shards import file_sha256
from vqmm.data.sources.debian import download_package, read_archive
from vqmm.errors import UserError

PACKAGE = "tuxpaint-stamps-default"
_ORIGIN = ".origin.json"  # beside unpacked stamps: which archive they are from
KEPT = (".png", ".svg", ".ogg", ".wav", ".txt")

_GET_IT = (
    f"download {PACKAGE} from packages.debian.org or tuxpaint-stamps from tuxpaint.org "
    "and name the file, or the folder you unpacked it into, as the source"
)


def unpack_stamps(source: Path | None, folder: Path) -> Path:
    """Finds the folder of the stamps' pictures, sounds and texts; archives are unpacked first.

    Args:
        source: a ``.deb`` or a tar archive, unpacked to ``folder/stamps``; a folder with the
            stamps, which is read where it lies; None downloads the Debian package with
            ``apt-get download``, no root needed.
        folder: made where it is missing. Stamps of the same archive that are there are kept.

    Returns:
        The folder, with a folder per category in it.

    Raises:
        UserError: no apt, no network, or a source that holds no stamps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if source is not None and source.is_dir():
        root = folder_of_stamps(source)
        _check_pictures(root, source)
        return root
    stamps = folder / "stamps"
    if stamps.is_dir() and (source is None or _origin(source) == _origin_of(stamps)):
        return stamps
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as temporary:
        part = Path(temporary) / "stamps"
        part.mkdir()
        try:
            archive = source or download_package(PACKAGE, Path(temporary))
            if not archive.exists():
                raise UserError(f"no stamps at {archive}: there is no such file or folder")
            _extract(archive, part)
        except UserError as error:
            raise UserError(f"{error}; {_GET_IT}") from None
        _check_pictures(part, archive)
        (part / _ORIGIN).write_text(json.dumps(_origin(archive)), encoding="utf-8")
        if stamps.is_dir():  # of another archive
            stamps.rename(Path(temporary) / "old")
        part.rename(stamps)
    return stamps


def folder_of_stamps(source: Path) -> Path:
    """The folder named `stamps` that is or lies in a folder; the folder itself where there is none."""
    source = source.resolve()
    inner = [path for path in (source, *sorted(source.rglob("stamps"))) if path.name == "stamps"]
    return next((path for path in inner if path.is_dir()), source)


def manifest_base(root: Path) -> Path:
    """The folder that paths of a stamps' manifest are relative to, as `stamps/animals/dog.png`."""
    return root.parent if root.name == "stamps" else root


def _check_pictures(root: Path, source: Path) -> None:
    if not any(path.suffix.lower() in (".png", ".svg") for path in root.rglob("*")):
        raise UserError(f"{source} holds no Tux Paint stamps: no pictures in a folder 'stamps'; {_GET_IT}")


def _origin(archive: Path) -> dict[str, Any]:
    """Returns which archive it is, by name and content."""
    if not archive.is_file():
        return {}
    return {"name": archive.name, "sha256": file_sha256(archive)}


def _origin_of(stamps: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads((stamps / _ORIGIN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _extract(source: Path, target: Path) -> None:
    for path, data in read_archive(source):
        parts = path.parts
        if "stamps" not in parts or ".." in parts or path.suffix.lower() not in KEPT:
            continue
        copy = target / PurePosixPath(*parts[parts.index("stamps") + 1 :])
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("wb") as file:
            shutil.copyfileobj(data, file)
