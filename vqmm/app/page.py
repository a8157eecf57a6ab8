"""The page: a tab for each question."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from vqmm.app.answers import Answers
from vqmm.app.drawing import ink_for
from vqmm.app.explorer import Explorer
from vqmm.app.generating import Generating, generating_tab
from vqmm.app.inputs import MODEL, asking, picture, recorder, sketchpad
from vqmm.app.parts import map_html
from vqmm.generation import Studio

DEFAULT_HITS, MOST_HITS = 12, 48
WAITING = 32  # questions in the queue; more are refused
KEPT_S = 600  # seconds that uploads are kept


def build_page(explorer: Explorer, studio: Studio | None = None) -> gr.Blocks:
    """Lays out the page.

    Args:
        explorer: answers.
        studio: of a prior over the same codes; None: no tab to generate.
    """
    answers = Answers(explorer)
    title = f"vqmm: {explorer.config.name}"
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(60, KEPT_S)) as page:
        gr.HTML(_head(explorer), elem_classes="vq-head")
        with gr.Tab("Sound to picture"):
            _sound_tab(answers)
        with gr.Tab("Picture to sound"):
            _picture_tab(answers)
        with gr.Tab("Reconstruct"):
            _rebuild_tab(answers)
        if studio is not None:
            with gr.Tab("Generate"):
                generating_tab(Generating(answers, studio))
    page.queue(default_concurrency_limit=1, max_size=WAITING)
    return page


def _head(explorer: Explorer) -> str:
    recordings, pictures = explorer.index.count("audio"), explorer.index.count("image")
    text = (
        "Speak, draw or upload: the codes of what you give are looked up among those of "
        f"{recordings:,} recordings and {pictures:,} pictures. One codebook of {len(explorer.map.usage)} "
        f"shared codes serves both; an item has {explorer.index.slots} of them."
    )
    head = "<h1>{}</h1><p>{}</p><p class='vq-quiet'>Run {}, step {:,}.</p>"
    return Markup(head).format(explorer.config.name, text, explorer.run.folder, explorer.run.step)


def _sound_tab(answers: Answers) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            sound = recorder()
            k = _count(answers, "image")
            ask = gr.Button("Find pictures", variant="primary")
        with gr.Column(scale=5, min_width=480):
            outputs = _outputs(answers, "The pictures that fit a sound best come here.")
    events = [ask.click, sound.stop_recording, sound.upload]
    gr.on(
        events,
        asking(answers.sound_to_picture),
        [sound, k],
        outputs,
        api_name="sound_to_picture",
        concurrency_id=MODEL,
        show_progress_on=outputs[0],
    )


def _picture_tab(answers: Answers) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            k = _count(answers, "audio", render=False)
            with gr.Tab("Draw"):
                drawing = sketchpad(ink_for(answers.explorer.config.data.image))
                ask_drawing = gr.Button("Find sounds for the drawing", variant="primary")
            with gr.Tab("Upload"):
                file = picture()
                ask_file = gr.Button("Find sounds for the picture", variant="primary")
            k.render()
        with gr.Column(scale=5, min_width=480):
            outputs = _outputs(answers, "The sounds that fit a drawing or a picture best come here.")
    ask_drawing.click(
        asking(answers.drawing_to_sound),
        [drawing, k],
        outputs,
        api_name="drawing_to_sound",
        concurrency_id=MODEL,
        show_progress_on=outputs[0],
    )
    gr.on(
        [ask_file.click, file.upload],
        asking(answers.picture_to_sound),
        [file, k],
        outputs,
        api_name="picture_to_sound",
        concurrency_id=MODEL,
    )


def _rebuild_tab(answers: Answers) -> None:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            with gr.Tab("Sound"):
                sound = recorder()
                ask_sound = gr.Button("Rebuild the sound", variant="primary")
            with gr.Tab("Drawing"):
                drawing = sketchpad(ink_for(answers.explorer.config.data.image))
                ask_drawing = gr.Button("Rebuild the drawing", variant="primary")
            with gr.Tab("Picture"):
                file = picture()
                ask_file = gr.Button("Rebuild the picture", variant="primary")
        with gr.Column(scale=5, min_width=480):
            shown = _answer_html(_quiet("What the codes hold comes here."))
    gr.on(
        [ask_sound.click, sound.upload],
        asking(answers.sound_and_back),
        sound,
        shown,
        api_name="sound_and_back",
        concurrency_id=MODEL,
    )
    ask_drawing.click(
        asking(answers.drawing_and_back), drawing, shown, api_name="drawing_and_back", concurrency_id=MODEL
    )
    gr.on(
        [ask_file.click, file.upload],
        asking(answers.picture_and_back),
        file,
        shown,
        api_name="picture_and_back",
        concurrency_id=MODEL,
    )


def _outputs(answers: Answers, waiting: str) -> list[Any]:
    hits = _answer_html(_quiet(waiting))
    with gr.Accordion("Codes", open=True):
        codes = _answer_html(map_html(answers.explorer))
    with gr.Accordion("Through its codes and back", open=True):
        rebuilt = _answer_html(_quiet("What its codes hold of it comes here."))
    with gr.Accordion("As data", open=False):
        facts = gr.JSON(show_label=False)
    return [hits, codes, rebuilt, facts]


def _quiet(text: str) -> str:
    return f'<p class="vq-quiet">{text}</p>'


def _answer_html(value: str = "") -> gr.HTML:
    return gr.HTML(value, elem_classes="vq-answer")


def _count(answers: Answers, modality: str, render: bool = True) -> gr.Slider:
    held = min(MOST_HITS, max(answers.explorer.index.count(modality), 2))
    return gr.Slider(1, held, min(DEFAULT_HITS, held), step=1, label="Hits", render=render)
