"""The versions that an export's folder holds."""

from __future__ import annotations

from pathlib import Path

from vqmm.errors import UserError


def versions_in(folder: Path) -> list[int]:
    """Versions of an export, whole ones only, the newest last."""
    try:
        return sorted(
            int(p.name) for p in folder.iterdir() if p.name.isdecimal() and (p / "saved_model.pb").is_file()
        )
    except OSError:
        return []


def versions_folder(export: str | Path) -> Path:
    """Finds the folder of the versions, before TensorFlow is loaded.

    Args:
        export: folder that `vqmm export` left, or its `saved_model`.

    Raises:
        UserError: it holds no version.
    """
    export = Path(export)
    folder = export / "saved_model" if (export / "saved_model").is_dir() else export
    if not versions_in(folder):
        raise UserError(f"{export} holds no SavedModel; vqmm export --formats saved_model makes one")
    return folder
