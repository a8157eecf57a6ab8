"""The look of the page: the report's colours, system fonts, nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from vqmm.report.theme import AUDIO, IMAGE, INK, MUTED, RULE

CSS = Path(__file__).with_name("page.css")
# Plots and pictures are made for a light page, whatever the browser prefers.
HEAD = """<script>
if (!new URLSearchParams(location.search).has("__theme")) history.replaceState(null, "", "?__theme=light");
</script>"""


def theme() -> gr.themes.Base:
    """Gradio's plainest theme in the colours of `vqmm.report.theme`."""
    fonts = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
    mono = ("ui-monospace", "DejaVu Sans Mono", "monospace")
    base = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        radius_size="sm",
        font=[gr.themes.Font(name) for name in fonts],
        font_mono=[gr.themes.Font(name) for name in mono],
    )
    return base.set(
        body_background_fill="#ffffff",
        body_text_color=INK,
        body_text_color_subdued=MUTED,
        background_fill_primary="#ffffff",
        background_fill_secondary="#f5f7fa",
        border_color_primary=RULE,
        block_border_color=RULE,
        block_label_text_color=MUTED,
        block_title_text_color=INK,
        block_title_text_weight="500",
        button_primary_background_fill=IMAGE,
        button_primary_background_fill_hover="#174a84",
        button_primary_text_color="#ffffff",
        slider_color=IMAGE,
        color_accent=IMAGE,
        color_accent_soft="#e8eff7",
        link_text_color=IMAGE,
        error_border_color=AUDIO,
    )
