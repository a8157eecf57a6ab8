"""Items out of a prior and its tokenizer: drawn, carried over from the other modality, completed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from vqmm.models.codes import Codes
from vqmm.models.decoding import Sampler, Settings
from vqmm.models.prior import Prior
from vqmm.models.token_layout import HIDDEN, joined

BATCH = 100  # items drawn at a time
AGREE = 0.75  # share of shared codes that an item must give again; else it is drawn anew

Progress = Callable[[float], None]


class Drawn(NamedTuple):
    """Token sequences.

    Attributes:
        tokens: i32[n, T] of `sections`, rows of the joint codebook.
        sections: names, in the order of the layout.
    """

    tokens: np.ndarray
    sections: tuple[str, ...]


class Generator:
    """Draws token sequences from a prior and turns them into pictures and log-mel.

    With `settings.retries`, the tokenizer encodes what was drawn: a modality of an item that does
    not give its own shared codes again is drawn anew, so many times; the best is kept.

    Args:
        prior: over the codes of `tokenizer`.
        tokenizer: a `VQVAE`.
        settings: how to sample.
    """

    def __init__(self, prior: Prior, tokenizer: Any, settings: Settings | None = None):
        self.prior = prior
        self.tokenizer = tokenizer
        self.sampler = Sampler(prior, settings)

    def unconditional(
        self, count: int, seed: int = 0, label: int | None = None, progress: Progress | None = None
    ) -> Drawn:
        """Items with all sections; of one label where it is given.

        Raises:
            ValueError: a label that the prior was not trained with.
        """
        if label is not None and not 0 <= label < self.prior.classes:
            raise ValueError(f"label {label}; this prior was trained with {self.prior.classes} labels")
        tokens = joined({}, self.prior.tokens, count)
        given = None if label is None else np.full(count, label, "int32")
        return self._fill(tokens, self.prior.tokens.names, seed, given, progress)

    def across(self, codes: Codes, to: str, seed: int = 0, progress: Progress | None = None) -> Drawn:
        """Items of modality `to` that belong to items of the other one.

        Args:
            codes: i32[n, ...] of n items of the other modality: their shared codes are kept, their
                private ones, where given, are seen too; by an autoregressive prior only where
                they come before those of `to`.
            to: what is made.
            seed: of the draw.
            progress: called with the share that is done.
        """
        layout = self.prior.tokens
        shown = () if codes.private is None else layout.names
        if self.prior.causal and to in layout.names:
            shown = shown[: layout.names.index(to)]
        names = tuple(name for name in layout.names if name in ("shared", to, *shown))
        tokens = np.full((len(codes.shared), len(layout.places(names))), HIDDEN, "int32")
        for name, part in layout.slices(names).items():
            if name != to:
                tokens[:, part] = codes.shared if name == "shared" else codes.private
        return self._fill(tokens, names, seed, None, progress)

    def complete(
        self,
        codes: Codes,
        modality: str,
        keep: np.ndarray,
        keep_shared: bool,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Drawn:
        """Items of which some private codes, and perhaps the shared ones, are kept (inpainting).

        Args:
            codes: of n items of `modality`, with private codes.
            modality: of the items.
            keep: bool[P], which places of the grid stay.
            keep_shared: whether the shared codes stay too.
        """
        shared, private = np.asarray(codes.shared), np.asarray(codes.private)
        names = tuple(name for name in self.prior.tokens.names if name in ("shared", modality))
        kept = shared if keep_shared else np.full_like(shared, HIDDEN)
        tokens = np.concatenate([kept, np.where(keep, private, HIDDEN)], axis=1).astype("int32")
        return self._fill(tokens, names, seed, None, progress)

    def decode(self, drawn: Drawn, modality: str) -> np.ndarray:
        """Pictures f32[n, H, W, C] in 0..1 or log-mel f32[n, frames, mels, 1]."""
        codes = self.prior.tokens.codes_of(drawn.tokens, modality, drawn.sections)
        parts = []
        for start in range(0, len(drawn.tokens), BATCH):
            here = slice(start, start + BATCH)
            own = None if codes.private is None else codes.private[here]
            parts.append(np.asarray(self.tokenizer.decode(Codes(codes.shared[here], own), modality)))
        return np.concatenate(parts)

    def agreement(self, drawn: Drawn, modality: str) -> np.ndarray:
        """Share of an item's shared codes that the tokenizer finds again in what it decodes to, f64[n]."""
        model = self.tokenizer
        shared = self.prior.tokens.split(drawn.tokens, drawn.sections)["shared"]
        items = self.decode(drawn, modality)
        found = []
        for start in range(0, len(items), BATCH):
            latents = model.encoders[modality](items[start : start + BATCH], training=False)
            found.append(np.asarray(model.quantizer.nearest(latents.shared, "shared")))
        return (np.concatenate(found) == shared).mean(axis=1)

    def _fill(
        self,
        tokens: np.ndarray,
        names: Sequence[str],
        seed: int,
        label: np.ndarray | None,
        progress: Progress | None,
    ) -> Drawn:
        turns = self.sampler.settings.retries
        report = progress or (lambda share: None)
        drawn = Drawn(self._once(tokens, names, seed, label, lambda x: report(x / (1 + turns))), tuple(names))
        parts = self.prior.tokens.slices(names)
        hidden = tokens == HIDDEN
        asked = [name for name in names if name != "shared" and hidden[:, parts[name]].any()]
        agree = {name: self.agreement(drawn, name) for name in asked} if turns else {}
        for turn in range(turns):
            for name, found in agree.items():
                rows = np.flatnonzero(found < AGREE)
                if not len(rows):
                    continue
                again = drawn.tokens[rows].copy()
                again[:, parts[name]][hidden[rows, parts[name]]] = HIDDEN
                given = None if label is None else label[rows]
                more = Drawn(
                    self._once(again, names, seed + 104_729 * (turn + 1), given, None), drawn.sections
                )
                fresh = self.agreement(more, name)
                better = fresh > found[rows]
                drawn.tokens[rows[better]] = more.tokens[better]
                found[rows[better]] = fresh[better]
            report((2 + turn) / (1 + turns))
        return drawn

    def _once(
        self,
        tokens: np.ndarray,
        names: Sequence[str],
        seed: int,
        label: np.ndarray | None,
        progress: Progress | None,
    ) -> np.ndarray:
        parts, total = [], len(tokens)
        for number, start in enumerate(range(0, total, BATCH)):
            here = slice(start, start + BATCH)

            def report(share: float, start: int = start) -> None:
                if progress is not None:
                    progress((start + share * min(BATCH, total - start)) / total)

            some = None if label is None else label[here]
            parts.append(self.sampler.fill(tokens[here], names, seed + 7919 * number, some, report))
        return np.concatenate(parts)
