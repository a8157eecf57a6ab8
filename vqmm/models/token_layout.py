"""How an item becomes one sequence of tokens: shared codes, then each modality's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vqmm.errors import UserError
from vqmm.models.codes import Codes
from vqmm.models.vqvae import VQVAE
from vqmm.quantizers import JointQuantizer, ProjectedQuantizer
from vqmm.tokens import TokenFile

HIDDEN = -1  # a token that is not known


class Section(NamedTuple):
    """A stretch of the sequence whose tokens come from one range of the joint codebook.

    Attributes:
        name: `"shared"`, `"image"` or `"audio"`.
        length: tokens.
        start, stop: its codes, rows of the joint table.
        levels: codes that a place of the grid has; they lie beside each other and each level
            has an equal share of the range (residual levels, groups).
        columns: of the grid that the places lie in, row by row; 1 for a plain row of places.
    """

    name: str
    length: int
    start: int
    stop: int
    levels: int = 1
    columns: int = 1

    @property
    def choices(self) -> int:
        """How many codes a token chooses from."""
        return (self.stop - self.start) // self.levels

    @property
    def offsets(self) -> np.ndarray:
        """i32[length], the first code that each token may be."""
        return self.start + np.arange(self.length, dtype="int32") % self.levels * self.choices

    @property
    def cells(self) -> np.ndarray:
        """i32[length, 2], row and column of each token; levels of a cell have the same."""
        cell = np.arange(self.length, dtype="int32") // self.levels
        return np.stack([cell // self.columns, cell % self.columns], axis=1)


class TokenLayout(NamedTuple):
    """The sections of the sequence, in order.

    Attributes:
        sections: shared first.
    """

    sections: tuple[Section, ...]

    @property
    def length(self) -> int:
        """Tokens of a whole item."""
        return sum(section.length for section in self.sections)

    @property
    def codes(self) -> int:
        """Size of the joint vocabulary."""
        return max(section.stop for section in self.sections)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sections."""
        return tuple(section.name for section in self.sections)

    def slices(self, names: Sequence[str] | None = None) -> dict[str, slice]:
        """Where each section lies in the sequence of the sections `names` (None: all)."""
        found, place = {}, 0
        for section in self.sections:
            if names is None or section.name in names:
                found[section.name] = slice(place, place + section.length)
                place += section.length
        return found

    def places(self, names: Sequence[str] | None = None) -> np.ndarray:
        """Where the tokens of the sections `names` stand in the whole sequence, i32."""
        whole = self.slices()
        kept = [np.arange(s.start, s.stop) for name, s in whole.items() if names is None or name in names]
        return np.concatenate(kept).astype("int32")

    def offsets(self, names: Sequence[str] | None = None) -> np.ndarray:
        """First code that each token of the sections `names` may be, i32."""
        return np.concatenate([s.offsets for s in self.sections if names is None or s.name in names])

    def split(self, tokens: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Tokens [B, T] of the sections `names` by section."""
        return {name: tokens[:, part] for name, part in self.slices(names).items()}

    def codes_of(self, tokens: Any, modality: str, names: Sequence[str] | None = None) -> Codes:
        """What a tokenizer's `decode` takes, of whole sequences."""
        parts = self.split(tokens, names)
        return Codes(parts["shared"], parts.get(modality))

    def to_config(self) -> list[list[Any]]:
        """Plain lists, for a model's config."""
        return [list(section) for section in self.sections]

    @classmethod
    def from_config(cls, tree: Sequence[Sequence[Any]]) -> TokenLayout:
        """What `to_config` gave."""
        return cls(tuple(Section(str(name), *map(int, rest)) for name, *rest in tree))


def layout_of(model: VQVAE) -> TokenLayout:
    """The sequence of a tokenizer's items.

    Raises:
        ValueError: recordings and pictures have another number of shared codes (layout `grid`).
    """
    counts, private = {}, {}
    for name in ("image", "audio"):
        encoder = model.encoders[name]
        cells = encoder.grid_shape[0] * encoder.grid_shape[1]
        counts[name] = encoder.slots if encoder.layout == "slots" else cells
        if model.private_range(name) is not None:
            private[name] = encoder.grid_shape
    if len(set(counts.values())) != 1:
        raise ValueError(
            f"shared codes of a picture and a recording are {counts['image']} and {counts['audio']}; a prior "
            "over both needs a tokenizer with model.layout=slots"
        )
    grids = {"shared": (counts["image"], 1), **private}
    return TokenLayout(tuple(_section(model.quantizer, name, grid) for name, grid in grids.items()))


def _section(quantizer: Any, name: str, grid: tuple[int, int]) -> Section:
    start, stop = quantizer.ranges[name]
    part = quantizer.parts[name] if isinstance(quantizer, JointQuantizer) else quantizer
    each = part.codes_per_token
    while isinstance(part, ProjectedQuantizer):
        part = part.inner  # whose levels the codes are of
    sizes = [level.num_codes for level in part.parts] if each > 1 else []
    levels = each if len(sizes) == each and len(set(sizes)) == 1 else 1  # heads share all codes
    length = grid[0] * grid[1] * each
    return Section(name, length, int(start), int(stop), levels, grid[1])


def check_sections(origin: str, tokens: TokenFile, layout: TokenLayout, remedy: str) -> None:
    """Refuses codes that a layout has no place for.

    Args:
        origin: what to call the token file.
        tokens: of the layout's codebook.
        layout: of the sequence.
        remedy: what to do about it.

    Raises:
        UserError: another number of codes than a section has, or a code outside its range.
    """
    sections = {section.name: section for section in layout.sections}
    for name, codes in (("shared", tokens.shared), (tokens.modality, tokens.private)):
        if codes is None:
            continue
        section = sections.get(name, Section(name, 0, 0, 0))
        found = codes.shape[1]
        if found != section.length:
            raise UserError(f"{origin} has {found} {name} codes an item, expected {section.length}; {remedy}")
        first = section.offsets
        last = first + section.choices - 1
        for item, place in np.argwhere((codes < first) | (codes > last))[:1]:
            raise UserError(
                f"{origin}'s item {tokens.ids[item]!s} has {codes[item, place]} as {name} code {place}; "
                f"legal: {first[place]} to {last[place]}; {remedy}"
            )


def joined(parts: Mapping[str, np.ndarray | None], layout: TokenLayout, count: int) -> np.ndarray:
    """Sequences i32[count, T] from codes by section; what is missing is `HIDDEN`."""
    tokens = np.full((count, layout.length), HIDDEN, "int32")
    for name, place in layout.slices().items():
        found = parts.get(name)
        if found is not None:
            tokens[:, place] = found
    return tokens
