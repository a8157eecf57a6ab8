"""Plots say what they should: words and numbers are looked up in the drawing."""

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.text import Text

from vqmm.config import Config
from vqmm.report import (
    code_plots,
    confusion_plot,
    curves_plot,
    retrieval_plot,
    spectrogram_plot,
)


@pytest.fixture
def words(monkeypatch):
    """Texts of the last figure, taken before it is closed."""
    found, real = [], pyplot.close

    def close(figure):
        texts = figure.findobj(Text)
        found[:] = [text.get_text() for text in texts if text.get_visible() and text.get_text()]
        real(figure)

    monkeypatch.setattr(pyplot, "close", close)
    return found


def is_svg(uri):
    return uri.startswith("data:image/svg+xml;base64,") and len(uri) > 1000


def test_retrieval(words):
    def rows(value):
        figure = {"map": {"value": value, "ci95": [value - 0.1, value + 0.05], "n": 9, "chance": 0.1}}
        return {name: figure for name in ("continuous", "asymmetric", "code_distance", "exact")}

    uri = retrieval_plot.retrieval_plot({"audio_to_image": rows(0.873), "image_to_audio": rows(0.654)})
    assert is_svg(uri)
    assert {"0.873", "0.654", "code distance", "mean average precision", "chance 0.10"} <= set(words)
    assert "k-means, exact" not in words


def test_retrieval_of_too_few_queries_is_a_point():
    figure = {"map": {"value": 0.5, "ci95": None, "n": 2, "chance": 0.1, "note": "too few"}}
    rows = {name: figure for name in ("continuous", "exact")}
    assert is_svg(retrieval_plot.retrieval_plot({"audio_to_image": rows, "image_to_audio": rows}))


def test_codes(words):
    both = {"audio": np.array([3, 0, 1]), "image": np.array([0, 5, 1])}
    assert is_svg(code_plots.shared_codes_plot(both))
    assert {"share of tokens, %", "recordings", "pictures", "even use"} <= set(words)
    words.clear()
    assert is_svg(code_plots.shared_codes_plot({"image": both["image"]}))
    assert "pictures" in words and "recordings" not in words
    assert is_svg(code_plots.private_codes_plot({"image": np.array([4, 0, 1, 0])}))
    assert "Private codes of pictures: 2 of 4 in use" in words
    assert is_svg(code_plots.agreement_plot(np.array([0.5, 1.0])))
    assert "equal codes, %" in words


@pytest.mark.parametrize("count", [3, 20])
def test_confusion(words, count):
    labels = [f"label number {i} with a long name" for i in range(count)]
    matrix = np.eye(count) * 0.75 + 0.25 / count
    assert is_svg(confusion_plot.confusion_plot(matrix, matrix, labels))
    assert {"said", "shown", "share of queries, %", "label number…"[:13] + "…"} & set(words)
    assert ("83" in words) == (count == 3)  # 75 + 25 / 3, written where there is room


def test_spectrograms(words):
    config = Config()
    mels = np.random.default_rng(0).normal(size=(64, 64, 1))
    assert is_svg(spectrogram_plot.spectrogram_plot({"original": mels, "rebuilt": mels + 1}, config))
    assert {"original", "rebuilt", "time, s", "power, dB", "1,000"} <= set(words)
    assert spectrogram_plot.spectrogram_uri(mels).startswith("data:image/png;base64,")


def test_curves(words):
    log = [
        {"step": 1, "split": "train", "seconds": 1.0, "loss": 3.0},
        {"step": 2, "split": "validation", "seconds": 2.0, "loss": 2.0, "retrieval_map": 0.4},
    ]
    assert is_svg(curves_plot.curves_plot(log))
    assert {"loss", "retrieval map", "step", "training batches", "validation"} <= set(words)
    assert "seconds" not in words
    assert curves_plot.curves_plot([]) == ""


def test_the_same_figures_give_the_same_bytes():
    draw = code_plots.agreement_plot
    assert draw(np.array([0.2, 0.4])) == draw(np.array([0.2, 0.4]))
