"""Inputs of the page that hand over files as they came, for the library to read and to refuse.

Gradio's own would decode a picture before any limit is checked. What they do is replaced on each input:
of a class derived from one of them, Gradio writes a stub file beside the source.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from vqmm.app.answers import told
from vqmm.app.drawing import Ink

MODEL = "model"  # what has this as its concurrency_id waits for the others: the model takes all cores
SIDE = 320  # pixels of the canvas, each way
BRUSH = 26


def recorder() -> gr.Audio:
    """A recording from the microphone or a file; hands over the path of its file."""
    return gr.Audio(
        sources=["microphone", "upload"], type="filepath", label="Record or upload", buttons=["download"]
    )


def picture() -> gr.Image:
    """A picture from a file, the clipboard or a camera; hands over the path of its file."""
    image = gr.Image(sources=["upload", "clipboard", "webcam"], label="Upload", height=SIDE + 90)
    image.preprocess = lambda payload: None if payload is None else payload.path
    return image


def sketchpad(ink: Ink) -> gr.ImageEditor:
    """An empty sketchpad in the colours of the model's pictures; hands over its layers, lowest first."""
    brushes: list[str | tuple[str, float]] = list(ink.brushes)
    # Upon a picture the brush is taken up at once, and white ink shows.
    empty = {"background": Image.new("RGB", (SIDE, SIDE), ink.ground), "layers": [], "composite": None}
    pad = gr.ImageEditor(
        empty,
        label="Draw",
        sources=(),
        transforms=(),
        layers=False,
        fixed_canvas=True,
        canvas_size=(SIDE, SIDE),
        height=SIDE + 90,
        brush=gr.Brush(default_size=BRUSH, colors=brushes, default_color=ink.brushes[0], color_mode="fixed"),
        eraser=gr.Eraser(default_size=BRUSH),
        format="png",
    )

    def layers(payload: Any) -> list[bytes] | None:
        if payload is None:
            return None
        if payload.id is not None:
            held = pad.blob_storage.pop(payload.id, None)
            return [] if held is None else [layer for layer in held.layers if layer]
        return [Path(layer.path).read_bytes() for layer in payload.layers]

    pad.preprocess = layers
    pad.clear(lambda: empty, None, pad, api_visibility="private", show_progress="hidden")
    return pad


def asking(answer: Callable[..., Any]) -> Callable[..., Any]:
    """An answer whose refusals are messages on the page."""
    return told(answer, lambda text: gr.Error(text, print_exception=False))


def progress_of(progress: gr.Progress) -> Callable[[float], None]:
    """What the library calls with the share that is done."""
    return lambda share: progress(share)
