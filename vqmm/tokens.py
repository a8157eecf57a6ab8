"""The token file: the codes of items, and all that is needed to decode them again."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vqmm.atomic import replacing
from vqmm.errors import UserError
from vqmm.system_errors import is_exhausted, mend_of
from vqmm.version import __version__

FORMAT_VERSION = 1
MODALITIES = ("audio", "image")
# Members of the file that may be missing: what they hold is not known for every item.
OPTIONAL = ("private", "grid", "sample_rate", "frame_rate", "labels", "label_names")
# What a damaged archive or a damaged array in it makes NumPy and zipfile raise.
DAMAGE = (zipfile.BadZipFile, ValueError, EOFError, OSError, KeyError, NotImplementedError, MemoryError)


def fingerprint(weights: Iterable[Any], settings: Mapping[str, Any]) -> str:
    """Names what makes codes: codes mean something only beside the model that they came from.

    Args:
        weights: arrays f32[...], in an order that is always the same; or one, which is taken row by row.
        settings: what else decides codes, as the codebook's ranges; plain JSON, its order does not matter.

    Returns:
        16 hex digits of a sha256 over the weights, their shapes and the settings.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for weight in weights:
        array = np.ascontiguousarray(np.asarray(weight), "<f4")
        digest.update(repr(array.shape).encode())
        digest.update(array.data)
    return digest.hexdigest()[:16]


def check_fingerprint(origin: str | Path, found: str, expected: str) -> None:
    """Refuses codes that another model made.

    Raises:
        UserError: naming both fingerprints.
    """
    if found != expected:
        raise UserError(
            f"{origin} was made by a model of fingerprint {found}; this run has {expected}. Its codes "
            "mean something else: give the run that made it, or make it anew with this run. What vqmm made "
            "while fingerprints covered the codebook alone must be made anew, too"
        )


@dataclass(frozen=True, eq=False)
class TokenFile:
    """Codes of n items of one modality.

    Attributes:
        modality: `"audio"` or `"image"`.
        ids: str[n].
        shared: unsigned[n, T], rows of the joint codebook, in the smallest type that holds them.
        private: unsigned[n, P], the same, row-major over `grid`; residual levels of a cell lie
            beside each other. None without private codes.
        sizes: i64[n, 1] samples of each recording at `sample_rate` before it was cut or
            padded for the model, or i64[n, 2] height and width of each picture in pixels.
        fingerprint: of the model that made the codes, see `fingerprint`.
        grid: rows and columns of the private codes; rows of a recording run along time.
        sample_rate: Hz; None for pictures.
        frame_rate: rows of `grid` a second, Hz; None for pictures.
        labels: i32[n], -1 unknown; None where the data has none.
        label_names: what the labels stand for; empty where it is not known.
        version: of vqmm.

    Raises:
        UserError: parts that do not fit together.
    """

    modality: str
    ids: npt.NDArray[Any]
    shared: npt.NDArray[Any]
    private: npt.NDArray[Any] | None
    sizes: npt.NDArray[np.int64]
    fingerprint: str
    grid: tuple[int, int] | None = None
    sample_rate: int | None = None
    frame_rate: float | None = None
    labels: npt.NDArray[np.int32] | None = None
    label_names: tuple[str, ...] = ()
    version: str = ""

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise UserError(f"tokens of modality {self.modality!r}; legal: {', '.join(MODALITIES)}")
        ids = [str(i) for i in self.ids]
        if any(i.endswith("\0") for i in ids):  # NumPy strings end at trailing NULs
            raise UserError("an id ends with a NUL character; give it another id")
        fixed: dict[str, Any] = {
            "ids": np.array(ids, dtype=np.str_),
            "shared": _smallest(self.shared, "shared"),
            "private": None if self.private is None else _smallest(self.private, "private"),
            "sizes": np.asarray(self.sizes, np.int64),
            "labels": None if self.labels is None else np.asarray(self.labels, np.int32),
            "grid": None if self.grid is None else (int(self.grid[0]), int(self.grid[1])),
            "label_names": tuple(str(name) for name in self.label_names),
            "version": self.version or __version__,
        }
        for name, value in fixed.items():
            object.__setattr__(self, name, value)
        n = len(ids)
        shapes: dict[str, tuple[int | None, ...]] = {
            "shared": (n, None),
            "private": (n, None),
            "sizes": (n, 1 if self.modality == "audio" else 2),
            "labels": (n,),
        }
        for name, wanted in shapes.items():
            found = getattr(self, name)
            if found is not None and not _fits(found.shape, wanted):
                raise UserError(f"tokens of {n} items: {name} has shape {found.shape}, expected {wanted}")
        if self.label_names and self.labels is not None:
            highest = int(self.labels.max(initial=-1))
            if highest >= len(self.label_names):
                raise UserError(f"tokens have label {highest}, and names for {len(self.label_names)} labels")
        if self.grid is not None and self.private is not None:
            cells, found = math.prod(self.grid), self.private.shape[1]
            if cells < 1 or found < cells or found % cells:
                raise UserError(
                    f"tokens of {n} items: private has {found} columns, and its grid {self.grid} has {cells} "
                    "cells; expected so many, times the levels of a cell"
                )

    def __len__(self) -> int:
        return len(self.ids)


def join_tokens(parts: Sequence[TokenFile]) -> TokenFile:
    """One token file of several that were made alike, in order.

    Raises:
        UserError: there are none, or they differ in more than their items.
    """
    if not parts:
        raise UserError("there are no token files to join")
    first = parts[0]
    alike = ("modality", "fingerprint", "grid", "sample_rate", "frame_rate", "label_names", "version")
    for name in alike:
        found = {getattr(part, name) for part in parts}
        if len(found) > 1:
            raise UserError(f"token files of {len(found)} kinds of {name} cannot be joined")
    unknown = [np.full(len(part), -1, np.int32) if part.labels is None else part.labels for part in parts]
    labels = np.concatenate(unknown)
    private = [part.private for part in parts if part.private is not None]
    return TokenFile(
        ids=np.concatenate([part.ids for part in parts]),
        shared=np.concatenate([part.shared for part in parts]),
        private=np.concatenate(private) if private else None,
        sizes=np.concatenate([part.sizes for part in parts]),
        labels=labels if (labels >= 0).any() else None,
        **{name: getattr(first, name) for name in alike},
    )


def save_tokens(path: str | Path, tokens: TokenFile) -> None:
    """Writes a token file: an .npz without pickles, not compressed, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    members = {name: getattr(tokens, name) for name in tokens.__dataclass_fields__}
    members["label_names"] = members["label_names"] or None
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in members.items() if value is not None}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, format_version=np.asarray(FORMAT_VERSION), **arrays)


def load_tokens(path: str | Path, expect_fingerprint: str | None = None) -> TokenFile:
    """Reads a token file.

    Args:
        path: as `save_tokens` wrote it.
        expect_fingerprint: of the model that must have made it; None takes any.

    Raises:
        UserError: no such file, damaged, no token file, of a newer format, or of
            another model (both fingerprints named).
    """
    path = Path(path)
    try:
        members = _read_members(path)
        found = int(members.pop("format_version"))
        if found == FORMAT_VERSION:
            tokens = _assemble(members)
    except FileNotFoundError:
        raise UserError(f"no such token file: {path}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; give one token file in it") from None
    except (*DAMAGE, UserError, TypeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if is_exhausted(error):
            raise UserError(f"{path} cannot be read: {reason}; {mend_of(error)}") from None
        raise UserError(
            f"{path} is no token file or is damaged: {reason}; write it again with tokenize"
        ) from None
    if found != FORMAT_VERSION:
        raise UserError(f"{path} has token format {found}; this vqmm reads {FORMAT_VERSION}; write it again")
    if expect_fingerprint is not None:
        check_fingerprint(path, tokens.fingerprint, expect_fingerprint)
    return tokens


def _read_members(path: Path) -> dict[str, Any]:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        stated = sum(member.file_size for member in archive.infolist())
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
        # Nothing is compressed, so a file cannot state more than it has: no bomb gets past this.
        if packed or stated > path.stat().st_size:
            raise ValueError(f"it states {stated} bytes of content in {path.stat().st_size} bytes")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _assemble(members: dict[str, Any]) -> TokenFile:
    known = TokenFile.__dataclass_fields__
    missing = [name for name in known if name not in members and name not in OPTIONAL]
    if missing or not set(members) <= set(known):
        raise ValueError(f"missing {missing}, unknown {sorted(set(members) - set(known))}")
    for name in ("modality", "fingerprint", "version", "sample_rate", "frame_rate"):
        if name in members:
            members[name] = members[name].item()
    for name in ("grid", "label_names"):
        if name in members:
            members[name] = tuple(members[name].tolist())
    return TokenFile(**{"private": None} | members)


def _smallest(codes: Any, name: str) -> npt.NDArray[Any]:
    codes = np.asarray(codes)
    if codes.dtype.kind not in "iu":
        raise UserError(f"{name} codes are of type {codes.dtype}; codes are integers")
    if codes.size and codes.min() < 0:
        raise UserError(f"{name} codes go down to {codes.min()}; codes are rows of a table, 0 or more")
    return codes.astype(np.min_scalar_type(int(codes.max()) if codes.size else 0))


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(w is None or s == w for s, w in zip(shape, wanted, strict=True))
