"""Finds configs by path, or by the name of one that is shipped with vqmm, as `digits`."""

from __future__ import annotations

from pathlib import Path

from vqmm.errors import UserError, nearest

SHIPPED = Path(__file__).parent / "configs"


def config_names() -> list[str]:
    """Returns the names of all shipped configs, sorted, as `"digits"` and `"comparison/vqvae"`."""
    return sorted(path.relative_to(SHIPPED).with_suffix("").as_posix() for path in SHIPPED.rglob("*.yaml"))


def folder_names() -> list[str]:
    """Returns the names of the folders of shipped configs, sorted, as `"ablations"`."""
    return sorted({name.rpartition("/")[0] for name in config_names() if "/" in name})


def find_config(name: str | Path) -> Path:
    """Finds a config.

    Args:
        name: the path of a file, which wins where it exists, or the name of a shipped config.

    Returns:
        The path of the file.

    Raises:
        UserError: there is no such file, and no shipped config of that name.
    """
    path = Path(name)
    if path.exists() and not path.is_dir():  # a named pipe is a config as well
        return path
    names = config_names()
    if str(name) in names:
        return SHIPPED / f"{name}.yaml"
    raise UserError(_unknown("config", path, names))


def find_config_folder(name: str | Path) -> Path:
    """Finds a folder of configs, by its path or by the name of a shipped one, as `"ablations"`.

    Raises:
        UserError: there is no such folder.
    """
    path = Path(name)
    if path.is_dir():
        return path
    if str(name) in folder_names():
        return SHIPPED / name
    raise UserError(_unknown("folder of configs", path, folder_names()))


def _unknown(kind: str, path: Path, names: list[str]) -> str:
    """Writes the message for a name that is unknown, with the names near it and all of the top level."""
    word = path.with_suffix("").as_posix() if path.suffix in (".yaml", ".yml") else path.as_posix()
    word = word.rpartition("configs/")[2]
    same_end = [name for name in names if name.rpartition("/")[2] == word.rpartition("/")[2]]
    near = f" (did you mean {' or '.join(map(repr, same_end))}?)" if same_end else nearest(word, names)
    top = [name for name in names if "/" not in name]
    below = sorted({name.partition("/")[0] for name in names if "/" in name})
    more = f", and those in {', '.join(f'{folder}/' for folder in below)}" if below else ""
    return (
        f"there is no {kind} {path}{near}; give the path of one that exists, or the name of one that is "
        f"shipped: {', '.join(top)}{more}"
    )
