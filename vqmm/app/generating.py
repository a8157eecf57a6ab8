"""The tab that draws new items from a prior."""

from __future__ import annotations

from typing import Any

import gradio as gr

from vqmm.app.answers import Answers
from vqmm.app.inputs import MODEL, asking, picture, progress_of, recorder
from vqmm.app.parts import drawn_html
from vqmm.data.shards import Modality
from vqmm.errors import UserError
from vqmm.generation import Result, Studio

MOST = 24  # items at once
ANY = "any"


class Generating:
    """Draws items for the page.

    Args:
        answers: reads what is given.
        studio: of a prior over the same codes.
    """

    def __init__(self, answers: Answers, studio: Studio) -> None:
        self.answers, self.studio = answers, studio
        self.labels = list(studio.generator.prior.labels)

    def picture_of_sound(
        self,
        sound: str | None,
        count: float,
        seed: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> str:
        """Pictures of what a recording says."""
        return self._across("audio", sound, "image", count, seed, progress)

    def sound_of_picture(
        self,
        file: str | None,
        count: float,
        seed: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> str:
        """Sounds of what a picture shows."""
        return self._across("image", file, "audio", count, seed, progress)

    def pairs(
        self,
        label: str,
        count: float,
        seed: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> str:
        """Pairs from nothing, or from a label."""
        if label != ANY and label not in self.labels:
            raise UserError(f"label {label!r}; this prior knows {', '.join(self.labels) or 'none'}")
        number = None if label == ANY else self.labels.index(label)
        return self._page(self.studio.unconditional(*self._asked(count, seed), number, progress_of(progress)))

    def _across(
        self,
        given: Modality,
        path: str | None,
        to: Modality,
        count: float,
        seed: float,
        progress: gr.Progress,
    ) -> str:
        asked = self._asked(count, seed)
        query = self.answers.source(path, path, given)
        return self._page(self.studio.across(query.tokens, to, *asked, progress_of(progress)))

    def _asked(self, count: float, seed: float) -> tuple[int, int]:
        if not 1 <= count <= MOST or not 0 <= seed < 2**31:
            raise UserError(
                f"{count:g} items of seed {seed:g}; legal: 1 to {MOST}, and a seed from 0 to {2**31 - 1}"
            )
        return int(count), int(seed)

    def _page(self, result: Result) -> str:
        return drawn_html(self.answers.explorer, result)


def generating_tab(generating: Generating) -> None:
    """Lays out the tab."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            count = gr.Slider(1, MOST, 8, step=1, label="Items", render=False)
            seed = gr.Number(0, precision=0, label="Seed", render=False)
            asked: list[Any] = [count, seed]
            with gr.Tab("From a sound"):
                sound = recorder()
                ask_picture = gr.Button("Draw pictures", variant="primary")
            with gr.Tab("From a picture"):
                file = picture()
                ask_sound = gr.Button("Make sounds", variant="primary")
            with gr.Tab("Pairs"):
                label = gr.Dropdown([ANY, *generating.labels], value=ANY, label="Label")
                ask_pairs = gr.Button("Draw pairs", variant="primary")
            count.render()
            seed.render()
        with gr.Column(scale=5, min_width=480):
            shown = gr.HTML(elem_classes="vq-answer")
    ask_picture.click(
        asking(generating.picture_of_sound),
        [sound, *asked],
        shown,
        api_name="picture_of_sound",
        concurrency_id=MODEL,
    )
    ask_sound.click(
        asking(generating.sound_of_picture),
        [file, *asked],
        shown,
        api_name="sound_of_picture",
        concurrency_id=MODEL,
    )
    ask_pairs.click(asking(generating.pairs), [label, *asked], shown, api_name="pairs", concurrency_id=MODEL)
