"""What the page answers: each function takes what its inputs hand over and gives what its outputs show."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.app.drawing import composed, ink_for
from vqmm.app.explorer import Explorer, Found, Query
from vqmm.app.parts import codes_html, hits_html, rebuilt_html
from vqmm.data.file_records import read_facts
from vqmm.data.shards import Modality
from vqmm.errors import UserError

log = logging.getLogger("vqmm.app")


class Answer(NamedTuple):
    """To a search.

    Attributes:
        hits, codes, rebuilt: HTML.
        facts: the same for programs: `query` (modality, codes) and `hits` as `vqmm query` tells them,
            each with its codes.
    """

    hits: str
    codes: str
    rebuilt: str
    facts: dict[str, Any]


def told(answer: Callable[..., Any], refusal: Callable[[str], Exception]) -> Callable[..., Any]:
    """Makes mistakes of users messages; anything else is logged, and told without its details.

    Args:
        answer: that may raise.
        refusal: makes what is raised in place of it, of a text for the user.
    """

    @functools.wraps(answer)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return answer(*args, **kwargs)
        except UserError as error:
            raise refusal(str(error)) from None
        except Exception as error:
            log.exception("%s failed", answer.__name__)
            raise refusal(f"this failed ({type(error).__name__}); the log of the page tells more") from None

    return wrapped


class Answers:
    """Searches and rebuilds for the page.

    Args:
        explorer: that does.
    """

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer

    def sound_to_picture(self, sound: str | None, k: float) -> Answer:
        """Pictures that fit a recording."""
        return self._answer(self._heard(sound), int(k))

    def picture_to_sound(self, picture: str | None, k: float) -> Answer:
        """Recordings that fit a picture."""
        return self._answer(self._seen(picture), int(k))

    def drawing_to_sound(self, layers: list[bytes] | None, k: float) -> Answer:
        """Recordings that fit a drawing."""
        return self._answer(self._drawn(layers), int(k))

    def sound_and_back(self, sound: str | None) -> str:
        """A recording through its codes."""
        return self._rebuilt(self._heard(sound))

    def picture_and_back(self, picture: str | None) -> str:
        """A picture through its codes."""
        return self._rebuilt(self._seen(picture))

    def drawing_and_back(self, layers: list[bytes] | None) -> str:
        """A drawing through its codes."""
        return self._rebuilt(self._drawn(layers))

    def source(self, sound: str | None, picture: str | None, modality: Modality) -> Query:
        """What was given of a modality."""
        return self._heard(sound) if modality == "audio" else self._seen(picture)

    def _heard(self, path: str | None) -> Query:
        if path is None:
            raise UserError("there is no sound yet; record one or upload a file")
        return self._file(path, "audio")

    def _seen(self, path: str | None) -> Query:
        if path is None:
            raise UserError("there is no picture yet; upload one")
        return self._file(path, "image")

    def _drawn(self, layers: list[bytes] | None) -> Query:
        ink = ink_for(self.explorer.config.data.image)
        picture = composed(layers or [], ink.ground, self.explorer.settings.pixels)
        return self.explorer.encode(picture, "image", "drawing")

    def _file(self, path: str, modality: Modality) -> Query:
        return self.explorer.encode(Path(path).read_bytes(), modality, Path(path).stem)

    def _rebuilt(self, query: Query) -> str:
        return rebuilt_html(self.explorer, query, self.explorer.rebuild(query))

    def _answer(self, query: Query, k: int) -> Answer:
        if k < 1:
            raise UserError(f"{k} hits: 1 is the least")
        found = self.explorer.search(query, k)
        return Answer(
            hits_html(self.explorer, query, found),
            codes_html(self.explorer, query, found[0]),
            self._rebuilt(query),
            _facts(self.explorer, query, found),
        )


def _facts(explorer: Explorer, query: Query, found: list[Found]) -> dict[str, Any]:
    asked = {"modality": query.tokens.modality, "codes": query.tokens.shared[0].tolist()}
    asked |= read_facts(query.used, query.notes)
    hits = [hit.row | {"codes": hit.codes.tolist()} for hit in found]
    return {"query": asked | {"best_possible": explorer.index.slots}, "hits": hits}
