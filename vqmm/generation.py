"""From what a person asks for to drawn items, as pictures and sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vqmm.config import Sampling
from vqmm.data.file_records import file_records
from vqmm.data.shards import OTHER, Modality
from vqmm.encoding import codebook_fingerprint, encode_records, frame_rate, tokens_of
from vqmm.errors import UserError
from vqmm.inpainting import kept_places
from vqmm.models import Codes, Settings
from vqmm.models.generator import Drawn, Generator
from vqmm.models.token_layout import check_sections
from vqmm.rebuild import rebuild
from vqmm.tokens import TokenFile, check_fingerprint
from vqmm.training.prior_run import PriorRun
from vqmm.voice import Voice

Progress = Callable[[float], None]


class Result(NamedTuple):
    """What was drawn.

    Attributes:
        tokens: by modality, the drawn items; several of them for each source, which then lie together.
        media: by modality, pictures u8[H, W, C] or recordings f32[samples].
        source: what was given, None for unconditional items.
    """

    tokens: dict[str, TokenFile]
    media: dict[str, list[np.ndarray]]
    source: TokenFile | None = None


def settings_of(sampling: Sampling, **wanted: Any) -> Settings:
    """The prior's own settings with those that are given (not None) in their place."""
    given = {name: value for name, value in wanted.items() if value is not None}
    return Settings(**{**sampling.model_dump(), **given})


class Studio:
    """Draws items from the run of a prior.

    Args:
        opened: prior and tokenizer.
        settings: how to sample.
        voice: turns log-mel into sound; None for Griffin-Lim.
    """

    def __init__(self, opened: PriorRun, settings: Settings, voice: Voice | None = None):
        self.opened = opened
        self.model, self.config = opened.tokenizer.model, opened.tokenizer.config
        self.generator = Generator(opened.run.model, self.model, settings)
        self.settings = settings
        self.voice = voice

    def unconditional(
        self, count: int, seed: int, label: int | None = None, progress: Progress | None = None
    ) -> Result:
        """Pairs of a picture and a recording."""
        drawn = self.generator.unconditional(count, seed, label, progress)
        return self._result(drawn, ("image", "audio"), [f"{n:04d}" for n in range(count)], None)

    def across(
        self, source: TokenFile, to: str, count: int, seed: int, progress: Progress | None = None
    ) -> Result:
        """Items of the modality `to` from the codes of items of the other one, `count` for each.

        Raises:
            UserError: tokens of another codebook or layout, or of the modality that is asked for.
        """
        self._check(source)
        if source.modality == to:
            raise UserError(
                f"the source is {to} already; --to {OTHER[to]} makes the other modality, "
                "--inpaint draws a part of it anew"
            )
        drawn = self.generator.across(_repeated(source, count), to, seed, progress)
        return self._result(drawn, (to,), _numbered(source.ids, count), source)

    def inpaint(
        self,
        source: TokenFile,
        hide: str,
        count: int,
        seed: int,
        keep_shared: bool = False,
        progress: Progress | None = None,
    ) -> Result:
        """Items of which a part is drawn anew, `count` for each.

        Args:
            source: the items.
            hide: the part, see `vqmm.inpainting.kept_places`.
            count: drawn for each.
            seed: of the draw.
            keep_shared: keep the shared codes, which know of the whole item.
            progress: called with the share that is done.

        Raises:
            UserError: tokens of another codebook or layout or without private codes, a part that is
                none or all there is, or shared codes to be drawn by an autoregressive prior.
        """
        self._check(source)
        sections = {section.name: section for section in self.generator.prior.tokens.sections}
        name = source.modality
        if source.private is None or name not in sections:
            owner = "tokenizer" if name not in sections else "token file"
            raise UserError(
                f"the {owner} has no private codes of {name}: there is no part to draw anew; "
                "leave --inpaint out"
            )
        if self.generator.prior.causal and not keep_shared:
            raise UserError(
                "an autoregressive prior draws shared codes first, without a look at what is kept; "
                "give --keep-shared, or a masked prior"
            )
        grid = self.model.encoders[name].grid_shape
        keep = kept_places(hide, sections[name], grid)
        if not keep_shared and not keep.any():
            raise UserError(
                f"--inpaint {hide!r} without --keep-shared keeps nothing of the {name}; draw a smaller part "
                "anew, give --keep-shared, or draw from nothing with --unconditional"
            )
        codes = _repeated(source, count)
        drawn = self.generator.complete(codes, name, keep, keep_shared, seed, progress)
        return self._result(drawn, (name,), _numbered(source.ids, count), source)

    def encoded(self, path: Path, modality: Modality) -> TokenFile:
        """A file's codes.

        Raises:
            UserError: it cannot be read as that modality.
        """
        records = file_records([path], modality, self.config.data)
        encoded = encode_records(self.model, records, self.config, modality)
        return tokens_of(self.model, self.config, encoded, records.lengths)

    def rebuilt(self, tokens: TokenFile) -> list[np.ndarray]:
        """What the tokenizer makes of codes."""
        return rebuild(self.model, self.config, tokens, voice=self.voice)

    def _check(self, source: TokenFile) -> None:
        prior, again = self.generator.prior, "write it again with tokenize and this prior's tokenizer"
        check_fingerprint("the token file", source.fingerprint, prior.fingerprint)
        if not len(source):
            raise UserError(f"the token file has no items; {again}")
        check_sections("the token file", source, prior.tokens, again)
        grid = tuple(self.model.encoders[source.modality].grid_shape)
        if source.private is not None and source.grid not in (None, grid):
            raise UserError(f"the token file's grid is {source.grid}, this tokenizer's {grid}; {again}")

    def _result(
        self, drawn: Drawn, modalities: Sequence[str], ids: Sequence[str], source: TokenFile | None
    ) -> Result:
        tokens = {name: self._token_file(drawn, name, ids, source) for name in modalities}
        return Result(tokens, {name: self.rebuilt(file) for name, file in tokens.items()}, source)

    def _token_file(
        self, drawn: Drawn, modality: str, ids: Sequence[str], source: TokenFile | None
    ) -> TokenFile:
        codes = self.generator.prior.tokens.codes_of(drawn.tokens, modality, drawn.sections)
        data = self.config.data
        audio = modality == "audio"
        sizes = np.tile(
            [data.audio.samples] if audio else [data.image.height, data.image.width], (len(ids), 1)
        )
        if source is not None and source.modality == modality:
            sizes = np.repeat(source.sizes, len(ids) // len(source), axis=0)
        grid = None if codes.private is None else self.model.encoders[modality].grid_shape
        return TokenFile(
            modality=modality,
            ids=np.array(ids),
            shared=codes.shared,
            private=codes.private,
            sizes=sizes,
            fingerprint=codebook_fingerprint(self.model),
            grid=grid,
            sample_rate=data.audio.sample_rate if audio else None,
            frame_rate=frame_rate(self.config, grid) if audio else None,
        )


def _repeated(source: TokenFile, count: int) -> Codes:
    parts = (source.shared, source.private)
    return Codes(*(None if p is None else np.repeat(p.astype("int32"), count, axis=0) for p in parts))


def _numbered(ids: Any, count: int) -> list[str]:
    """Ids of what is drawn: of files the names alone, where these differ."""
    whole = [str(id) for id in ids]
    stems = [Path(id).stem for id in whole]
    names = stems if len(set(stems)) == len(stems) else whole
    return [f"{name}-{n:02d}" if count > 1 else name for name in names for n in range(count)]
