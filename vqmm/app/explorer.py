"""What the page does with a recording or a picture, without the page."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from vqmm.app.code_map import code_map
from vqmm.data.records import Dataset
from vqmm.data.shards import OTHER, Modality
from vqmm.data.stored_audio import read_stored_audio
from vqmm.data.used_part import UsedPart
from vqmm.encoding import codebook_fingerprint, encode_batches, tokens_of, traced_encoder
from vqmm.errors import UserError
from vqmm.rebuild import rebuild
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.hit_files import StoredItems
from vqmm.retrieval.hit_rows import hit_rows
from vqmm.retrieval.model_index import query_values
from vqmm.retrieval.question import Question, answer, check_question
from vqmm.serving.media import MediaReader
from vqmm.serving.refused import Refused
from vqmm.serving.settings import Settings
from vqmm.tokens import TokenFile
from vqmm.training.run_folder import Run

Media = npt.NDArray[Any]
"""A picture u8[H, W, C] or a recording f32[samples]."""


class Query(NamedTuple):
    """A file, encoded.

    Attributes:
        tokens: its codes.
        vectors: f32[1, slots, dim], to search with.
        media: what the model saw of it.
        used: the part of a recording that this is; None for a picture.
        notes: what a person should know of how the file was read, sentences without their subject.
    """

    tokens: TokenFile
    vectors: npt.NDArray[np.float32]
    media: Media
    used: UsedPart | None = None
    notes: tuple[str, ...] = ()

    def remarks(self) -> str:
        """The notes, and which part of a longer recording is used, as sentences; mostly empty."""
        cut = (self.used.sentence(),) if self.used is not None and self.used.is_cut else ()
        return " ".join(f"The recording {text}." for text in (*self.notes, *cut))


class Found(NamedTuple):
    """An item that was found.

    Attributes:
        row: of `hit_rows`.
        codes: i32[slots], rows of the joint codebook.
        media: as the data holds it; without data, as the model draws it from its codes.
    """

    row: dict[str, Any]
    codes: npt.NDArray[np.int32]
    media: Media


class Rebuilt(NamedTuple):
    """What codes hold of an item.

    Attributes:
        whole: from all its codes.
        gist: from the shared codes alone.
        other: the other modality, from the shared codes.
    """

    whole: Media
    gist: Media
    other: Media


class Explorer:
    """Encodes, searches and rebuilds with one run and its index.

    Args:
        run: of a model with codes.
        index: of its codebook.
        dataset: that was indexed, for the files behind hits; None: hits are drawn from their codes.
        settings: limits on files (`seconds`, `pixels`); the model's own hold as well.

    Raises:
        UserError: data that does not fit the run, or an empty index.
    """

    def __init__(
        self, run: Run, index: FaissIndex, dataset: Dataset | None = None, settings: Settings | None = None
    ) -> None:
        self.model, self.config, self.run, self.index = run.model, run.config, run, index
        self.settings = settings or Settings()
        if not index.count():
            raise UserError("the index is empty; index a split of the data first")
        if dataset is not None:
            dataset.check(run.config)
        self._reader = MediaReader(run.config, self.settings)
        self._stored = None if dataset is None else StoredItems(dataset)
        self._encoders: dict[str, Any] = {}  # each is traced when it is first used
        self._codes = index.codes()
        self.map = code_map(index.codebook, index.usage())

    @property
    def holds_files(self) -> bool:
        """Whether hits come with their files."""
        return self._stored is not None

    def encode(self, data: bytes, modality: Modality, name: str = "query") -> Query:
        """Encodes a file.

        Args:
            data: WAV, FLAC, MP3, OGG; or PNG, JPEG, GIF, BMP, WebP.
            modality: `"audio"` or `"image"`.
            name: becomes the id.

        Raises:
            UserError: it cannot be read, or is over a limit; with the reason.
        """
        try:
            values, length, used, notes = self._reader.open(data, modality)
        except Refused as error:
            raise UserError(error.reason) from None
        if modality not in self._encoders:
            self._encoders[modality] = traced_encoder(self.model, modality)
        batch = {modality: values, "id": [name]}
        encoded = encode_batches(self.model, [batch], modality, encode=self._encoders[modality])
        tokens = tokens_of(self.model, self.config, encoded, np.array([length]))
        vectors = query_values(self.model, encoded)
        return Query(tokens, vectors, _media(values[0], modality, length), used, notes)

    def search(self, query: Query, k: int, modality: Modality | None = None) -> list[Found]:
        """The k items that fit best, or all where there are fewer; those of the other modality.

        Args:
            query: of `encode`.
            k: 1 or more.
            modality: what to find; None: the other one.

        Raises:
            UserError: the index holds none, or the data does not hold what the index names.
        """
        wanted = modality or OTHER[query.tokens.modality]
        question = Question(wanted, min(k, self.index.count(wanted)))
        hits = answer(self.index, query.vectors, check_question(self.index, question))
        rows = hit_rows(hits.items[0], hits.scores[0].tolist())
        codes = self._codes[hits.positions[0]]
        if self._stored is not None:
            media = [_decoded(self._stored.data(item), wanted) for item in hits.items[0]]
        else:
            media = rebuild(self.model, self.config, self._shared(codes, wanted), shared_only=True)
        return [Found(*parts) for parts in zip(rows, codes, media, strict=True)]

    def rebuild(self, query: Query) -> Rebuilt:
        """Decodes the codes of a query, all of them and the shared ones alone."""

        def decoded(to: Modality, shared_only: bool) -> Media:
            return rebuild(self.model, self.config, query.tokens, to, shared_only)[0]

        own: Modality = "audio" if query.tokens.modality == "audio" else "image"
        return Rebuilt(decoded(own, False), decoded(own, True), decoded(OTHER[own], True))

    def _shared(self, codes: npt.NDArray[np.int32], modality: str) -> TokenFile:
        data, count = self.config.data, len(codes)
        size = [data.audio.samples] if modality == "audio" else [data.image.height, data.image.width]
        return TokenFile(
            modality=modality,
            ids=np.arange(count).astype(str),
            shared=codes,
            private=None,
            sizes=np.tile(size, (count, 1)),
            fingerprint=codebook_fingerprint(self.model),
        )


def _media(values: npt.NDArray[np.float32], modality: str, length: int) -> Media:
    """What the model sees; a recording without the zeros that it was centred in."""
    if modality == "image":
        return np.round(values * 255).astype(np.uint8)
    before = max(0, (len(values) - length + 1) // 2)
    return values[before : before + length]


def _decoded(data: bytes, modality: str) -> Media:
    if modality == "audio":
        return read_stored_audio(data).astype(np.float32) / 32768.0
    picture = np.asarray(Image.open(io.BytesIO(data)))
    return picture[:, :, None] if picture.ndim == 2 else picture
