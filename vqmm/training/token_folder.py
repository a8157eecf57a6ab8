"""A prior's training data as token files: no recordings and pictures are needed where it is trained."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.data.pairing import pairing_of
from vqmm.data.shards import file_sha256
from vqmm.encoding import KINDS
from vqmm.errors import UserError
from vqmm.models.token_layout import TokenLayout, check_sections
from vqmm.tokens import MODALITIES, TokenFile, check_fingerprint, load_tokens
from vqmm.training.token_batches import TokenTable

SPLITS = ("train", "validation")
AGAIN = "write it with: tokenize --run TOKENIZER --data DATA --split train validation --out FOLDER"


class FileCodes(NamedTuple):
    """Codes of items of one modality; see `vqmm.encoding.Encoded`."""

    labels: npt.NDArray[np.int32]
    items: npt.NDArray[np.int64]
    shared: npt.NDArray[np.int32]
    private: npt.NDArray[np.int32] | None


@dataclass(frozen=True)
class TokenFolder:
    """What `vqmm tokenize --data` left: `audio-train.npz`, `image-train.npz`, and so on.

    Attributes:
        name: of the folder.
        files: by split and modality.
        labels: names of the labels.
        checksum: hex sha256 over the files.
    """

    name: str
    files: Mapping[str, Mapping[str, TokenFile]]
    labels: tuple[str, ...]
    checksum: str

    @classmethod
    def open(cls, folder: str | Path) -> TokenFolder:
        """Reads all token files of the training and the validation split.

        Raises:
            UserError: no folder, no codes to train on, a damaged file, one of another modality
                than its name says, or files of several codebooks or label names.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder} of token files; {AGAIN}")
        files: dict[str, dict[str, TokenFile]] = {split: {} for split in SPLITS}
        checksum = hashlib.sha256()
        for split in SPLITS:
            for modality in MODALITIES:
                path = folder / f"{modality}-{split}.npz"
                if not path.exists():
                    continue
                found = load_tokens(path)
                if found.modality != modality:
                    raise UserError(f"{path} holds {found.modality} tokens, by its name {modality}; {AGAIN}")
                files[split][modality] = found
                checksum.update(f"{path.name} {file_sha256(path)} ".encode())
        if not files["train"]:
            raise UserError(
                f"{folder} has no codes to train on: neither audio-train.npz nor image-train.npz; {AGAIN}"
            )
        held = {f"{m}-{split}.npz": file for split, some in files.items() for m, file in some.items()}
        _alike("codebooks", {name: file.fingerprint for name, file in held.items()})
        _alike("label names", {name: file.label_names for name, file in held.items()})
        return cls(folder.name, files, next(iter(held.values())).label_names, checksum.hexdigest())

    @property
    def fingerprint(self) -> str:
        """Of the codebook that all files are of."""
        return next(iter(self.files["train"].values())).fingerprint

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """``{split: {"recordings", "pictures"}}``."""
        return {
            split: {kind: len(held[name]) if name in held else 0 for name, kind in KINDS.items()}
            for split, held in self.files.items()
        }

    def table(
        self, layout: TokenLayout, pair_by: Literal["item", "label"], split: str, seed: int
    ) -> TokenTable:
        """The codes of a split and which of them go together: by label, or where ids are the same.

        Raises:
            UserError: codes that the layout has no place for, or recordings and pictures to train on of
                which no two belong together.
        """
        held = self.files[split]
        known = sorted({str(name) for file in held.values() for name in file.ids})
        rows = {name: row for row, name in enumerate(known)}
        sides = {}
        for modality in MODALITIES:
            file = held.get(modality)
            if file is not None:
                check_sections(f"{modality}-{split}.npz", file, layout, AGAIN)
                sides[modality] = FileCodes(
                    _labels(file),
                    np.array([rows[str(name)] for name in file.ids], "int64"),
                    file.shared.astype("int32"),
                    None if file.private is None else file.private.astype("int32"),
                )
        nothing = np.zeros(0, "int32")
        empty = FileCodes(nothing, nothing.astype("int64"), nothing, None)
        pairing = pairing_of((sides.get("audio", empty), sides.get("image", empty)), pair_by, seed)
        pairs = pairing.epoch(0)
        paired = ((pairs.audio >= 0) & (pairs.image >= 0)).any()
        if split == "train" and len(sides) == len(MODALITIES) and not paired:
            why = "an id" if pair_by == "item" else "a label"
            raise UserError(
                f"folder {self.name}: no recording and picture of the {split} split have {why} in common, so "
                f"that none belong together (the tokenizer's data.pair_by is {pair_by}); {AGAIN}"
            )
        return TokenTable(layout, sides.get("audio"), sides.get("image"), pairing)

    def check_codebook(self, expected: str) -> None:
        """Refuses a tokenizer of another codebook.

        Raises:
            UserError: naming both fingerprints.
        """
        check_fingerprint(f"the folder {self.name} of token files", self.fingerprint, expected)


def _labels(file: TokenFile) -> npt.NDArray[np.int32]:
    return np.full(len(file), -1, np.int32) if file.labels is None else file.labels


def _alike(what: str, held: Mapping[str, Any]) -> None:
    (one, first), *rest = held.items()
    for other, found in rest:
        if found != first:
            raise UserError(f"token files of two {what}: {one} has {first}, {other} has {found}; {AGAIN}")
