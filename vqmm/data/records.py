"""The prepared data: what `prepare` left, opened and checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vqmm.config import AudioSpec, Config, ImageSpec, StoredAudio
from vqmm.data.places import is_url, local_file, located
from vqmm.data.shards import MODALITIES, SPLITS, Record, file_sha256, read_shard
from vqmm.data.stored_items import Span, StoredItems, spans_of
from vqmm.errors import UserError
from vqmm.system_errors import mend_of

FORMAT_VERSION = 1
# What the decoded items do not depend on: `samples` is cut in the batches, the limits only refuse files,
# and all stored forms hold the same samples.
NOT_BAKED = ("samples", "max_seconds", "max_pixels", "stored_as")
# Of data that an earlier version prepared, which does not state it.
EARLIER_STORED_AS: StoredAudio = "flac"


@dataclass(frozen=True)
class Records:
    """Recordings or pictures of a split, in stored order.

    Attributes:
        ids: str objects [N].
        items: i64[N].
        labels: i64[N], -1 unknown.
        captions: str objects [N].
        lengths: i64[N] in samples; 0 for pictures.
        data: N encoded records, WAV, FLAC or PNG (see `vqmm.data.decode`); those of shards are read when
            they are asked for.
        extra: N dicts of further manifest columns.
    """

    ids: npt.NDArray[np.object_]
    items: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    captions: npt.NDArray[np.object_]
    lengths: npt.NDArray[np.int64]
    data: Sequence[bytes]
    extra: list[dict[str, str]]

    def __len__(self) -> int:
        return len(self.data)


class Split(NamedTuple):
    """What one split holds."""

    recordings: Records
    pictures: Records


@dataclass(frozen=True)
class Dataset:
    """A folder that `prepare` left.

    Attributes:
        folder: where it is; of data at a URL a `upath.UPath`.
        name: of the data.
        audio: spec that the recordings were prepared to.
        image: spec that the pictures were prepared to.
        pair_by: "item" or "label".
        label_supervision: True where pairs were made by label.
        labels: label names; records hold the row.
        counts: ``{split: {"pairs_items", "recordings", "pictures"}}``.
        checksum: hex sha256 over spec and shards: two folders with the same one hold the same data.
        shards: ``{file name: hex sha256}``.
    """

    folder: Path
    name: str
    audio: AudioSpec
    image: ImageSpec
    pair_by: Literal["item", "label"]
    label_supervision: bool
    labels: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    checksum: str
    shards: dict[str, str]

    @classmethod
    def open(cls, folder: str | Path) -> Dataset:
        """Opens a prepared folder; records are read by `split`.

        Args:
            folder: a path, or a URL that fsspec knows (extra `remote`): `gs://bucket/digits`.

        Raises:
            UserError: no `dataset.json` (not prepared, or not finished), one of
                another version, a damaged one, or a shard that is missing.
        """
        folder = located(folder)
        path = folder / "dataset.json"
        try:
            with local_file(path) as file:
                tree = json.loads(file.read_text(encoding="utf-8"))
            version = tree["format_version"]
        except FileNotFoundError:
            raise UserError(
                f"{folder} holds no dataset.json: it was not prepared, or not to the end; "
                f"run vqmm prepare … --out {folder}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            mend = mend_of(error) if isinstance(error, OSError) else "prepare the data again"
            raise UserError(f"{path} cannot be read: {error}; {mend}") from None
        if version != FORMAT_VERSION:
            raise UserError(
                f"{path} has format_version={version!r}; this vqmm reads {FORMAT_VERSION}; "
                "prepare the data again"
            )
        try:
            dataset = cls(
                folder=folder,
                name=tree["name"],
                audio=AudioSpec.model_validate({"stored_as": EARLIER_STORED_AS, **tree["spec"]["audio"]}),
                image=ImageSpec.model_validate(tree["spec"]["image"]),
                pair_by=tree["pair_by"],
                label_supervision=tree["label_supervision"],
                labels=tuple(tree["labels"]),
                counts=tree["counts"],
                checksum=tree["checksum"],
                shards={shard["name"]: shard["sha256"] for shard in tree["shards"]},
            )
        except (KeyError, TypeError, ValueError) as error:
            said = " ".join(str(error).split())
            raise UserError(
                f"{path} is damaged ({type(error).__name__}: {said}); prepare the data again"
            ) from None
        for name in () if is_url(folder) else dataset.shards:  # elsewhere each question is a request
            if not (folder / name).is_file():
                raise UserError(f"{folder / name} is missing; prepare the data again, with --force")
        return dataset

    def check(self, config: Config) -> None:
        """Refuses a config that wants the data otherwise than it was prepared.

        Raises:
            UserError: naming each key with the prepared and the wanted value.
        """
        wanted = {
            **_flat("data.audio", config.data.audio),
            **_flat("data.image", config.data.image),
            "data.pair_by": config.data.pair_by,
        }
        held = {
            **_flat("data.audio", self.audio),
            **_flat("data.image", self.image),
            "data.pair_by": self.pair_by,
        }
        wrong = [
            f"{key}={held[key]!r}, the config says {wanted[key]!r}"
            for key in held
            if held[key] != wanted[key]
        ]
        if wrong:
            raise UserError(
                f"{self.folder} was prepared with {'; '.join(wrong)}; "
                "prepare it anew with this config, or change the config"
            )

    def split(self, name: str) -> Split:
        """Reads a split, but for its encoded items, which stay in their files until they are asked for.

        Args:
            name: train, validation or test.

        Raises:
            UserError: an unknown split, or a shard that is not as `prepare` left it.
        """
        if name not in SPLITS:
            raise UserError(f"unknown split {name!r}; it is one of {', '.join(SPLITS)}")
        return Split(*(self.read(self.shard_names(modality, name)) for modality in MODALITIES))

    def shard_names(self, modality: str, split: str) -> list[str]:
        """The shards of a modality in a split, in the order of their records."""
        return [name for name in sorted(self.shards) if name.startswith(f"{modality}-{split}-")]

    def read(self, names: Sequence[str]) -> Records:
        """The records of some shards, in stored order.

        Raises:
            UserError: a shard that is not as `prepare` left it, or cannot be fetched.
        """
        records: list[Record] = []
        spans: list[Span] = []
        for name in names:
            path = self.folder / name
            try:
                with local_file(path) as file:
                    if file_sha256(file) != self.shards[name]:
                        raise UserError(
                            f"{path} is damaged (its checksum differs); prepare the data again, with --force"
                        )
                    here = read_shard(file)
                    spans += spans_of(file, here)
                    records += (record._replace(data=b"") for record in here)
            except FileNotFoundError:
                raise UserError(f"{path} is missing; prepare the data again, with --force") from None
        return Records(
            ids=_objects([r.id for r in records]),
            items=np.array([r.item for r in records], np.int64),
            labels=np.array([r.label for r in records], np.int64),
            captions=_objects([r.caption for r in records]),
            lengths=np.array([r.length for r in records], np.int64),
            data=StoredItems(spans),
            extra=[r.extra for r in records],
        )


def baked(spec: AudioSpec | ImageSpec) -> dict[str, Any]:
    """What of a spec the decoded items of the shards depend on."""
    return {key: value for key, value in spec.model_dump().items() if key not in NOT_BAKED}


def _flat(section: str, spec: AudioSpec | ImageSpec) -> dict[str, Any]:
    return {f"{section}.{key}": value for key, value in baked(spec).items()}


def _objects(values: list[str]) -> npt.NDArray[np.object_]:
    array = np.empty(len(values), object)
    array[:] = values
    return array
