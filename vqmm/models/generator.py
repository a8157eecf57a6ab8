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

    def from_shared(
        self, shared: np.ndarray, to: str, seed: int = 0, progress: Progress | None = None
    ) -> Drawn:
        """Items of modality `to` whose shared codes i32[n, T] are known, as from the other modality."""
        names = tuple(name for name in self.prior.tokens.names if name in ("shared", to))
        parts = self.prior.tokens.slices(names)
        tokens = np.full((len(shared), len(self.prior.tokens.places(names))), HIDDEN, "int32")
        tokens[:, parts["shared"]] = shared
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

    def _fill(
        self,
        tokens: np.ndarray,
        names: Sequence[str],
        seed: int,
        label: np.ndarray | None,
        progress: Progress | None,
    ) -> Drawn:
        parts, total = [], len(tokens)
        for number, start in enumerate(range(0, total, BATCH)):
            here = slice(start, start + BATCH)

            def report(share: float, start: int = start) -> None:
                if progress is not None:
                    progress((start + share * min(BATCH, total - start)) / total)

            some = None if label is None else label[here]
            parts.append(self.sampler.fill(tokens[here], names, seed + 7919 * number, some, report))
        return Drawn(np.concatenate(parts), tuple(names))
