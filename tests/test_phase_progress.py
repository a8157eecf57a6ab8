"""Progress of a long phase: a line now and then where there is no terminal."""

import io
import time

import numpy as np
import pytest
from rich.console import Console

from vqmm.phase_progress import PhaseProgress, duration


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def phase(clock, total=100, **more):
    out = io.StringIO()
    console = Console(file=out, soft_wrap=True, highlight=False)
    return PhaseProgress("hashing", "files", total, console=console, clock=clock, **more), out


def test_the_first_line_comes_after_ten_seconds_and_others_every_thirty(clock):
    progress, out = phase(clock)
    with progress:
        for second in range(100):
            clock.seconds = 100.0 + second
            progress.advance()
    assert out.getvalue().splitlines() == [
        "hashing: 11 of 100 files in 10 s, about 81 s left",
        "hashing: 41 of 100 files in 40 s, about 58 s left",
        "hashing: 71 of 100 files in 70 s, about 29 s left",
        "hashing: done, 100 files in 2 min",
    ]


def test_short_phases_and_silenced_ones_say_nothing(clock):
    for more, seconds in (({}, 9.9), ({"show": False}, 1e6)):
        progress, out = phase(clock, **more)
        with progress:
            clock.seconds += seconds
            progress.advance(50)
        assert out.getvalue() == ""


def test_without_a_total_what_is_done_is_shown(clock):
    progress, out = phase(clock, total=None)
    with progress:
        clock.seconds += 12
        progress.reach(7)
    assert out.getvalue().splitlines() == ["hashing: 7 files in 12 s", "hashing: done, 7 files in 12 s"]


def test_a_phase_that_fails_does_not_say_that_it_is_done(clock):
    progress, out = phase(clock)
    with pytest.raises(KeyError), progress:
        clock.seconds += 12
        progress.advance()
        raise KeyError
    assert "done" not in out.getvalue() and "1 of 100" in out.getvalue()


def test_work_of_others_is_looked_at():
    out = io.StringIO()
    progress = PhaseProgress("by Beam", "shards", 3, console=Console(file=out), first_after=0.0, every=0.0)
    with progress.following(lambda: 2, every=0.001):
        deadline = time.monotonic() + 30
        while not out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.001)
    assert "by Beam: 2 of 3 shards" in out.getvalue()


@pytest.mark.parametrize("seconds, bar, shown", [(3.0, True, True), (1.0, True, False), (3.0, False, False)])
def test_a_bar_on_a_terminal_unless_the_phase_is_short(clock, seconds, bar, shown):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, _environ={})
    with PhaseProgress("hashing", "files", 10, console=console, clock=clock, bar=bar) as progress:
        clock.seconds += seconds
        progress.advance(4)
    assert ("4/10" in out.getvalue() and "hashing" in out.getvalue()) == shown


@pytest.mark.parametrize("seconds, text", [(0.4, "0 s"), (89, "89 s"), (100, "2 min"), (9000, "2.5 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.fixture
def at_once(monkeypatch):
    """Every phase writes a line at every step."""
    for name in ("first_after", "every"):
        monkeypatch.setitem(PhaseProgress.__init__.__kwdefaults__, name, 0.0)


def test_training_of_feature_networks_shows_its_steps(at_once, capsys):
    from vqmm.networks import FeatureNet
    from vqmm.training.teaching import teach

    items, classes = np.random.default_rng(0).random((40, 8, 8, 1), np.float32), np.arange(40) % 2
    teach(FeatureNet((4, 8)), items, classes, items, classes, steps=3, shift=1)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training a feature")]
    assert [line.partition(" in ")[0] for line in lines] == [
        "training a feature network: 1 of 3 steps",
        "training a feature network: 2 of 3 steps",
        "training a feature network: 3 of 3 steps",
        "training a feature network: done, 3 steps",
    ]


def test_encoding_and_placing_of_fine_codes_show_what_is_done(at_once, capsys, tiny_config, tiny_data):
    from vqmm.data.batches import training_batches
    from vqmm.encoding import encode_split
    from vqmm.models import build_model
    from vqmm.training.codebook_start import start_codebook
    from vqmm.training.fine_fit import with_fine_codes

    model = build_model(tiny_config)
    batches = training_batches(tiny_data, tiny_config).take(3)
    start_codebook(model, batches)
    with_fine_codes(model, batches, codes=2)
    encode_split(model, tiny_data, tiny_config, "test", "image", 4)
    said = capsys.readouterr().err
    for line in (
        "encoding items for fine codes: 8 of 32 items",
        "placing fine codes: 1 of 2 slots",
        "placing fine codes: 2 of 2 slots",
        "encoding: 4 of 8 pictures",
        "encoding: done, 8 pictures",
    ):
        assert line in said


def test_preparation_shows_hashing_and_decoding(at_once, capsys, tmp_path, tiny_config):
    from PIL import Image

    from vqmm.data.prepare import prepare

    Image.new("L", (16, 16), 9).save(tmp_path / "a.png")
    Image.new("L", (16, 16), 10).save(tmp_path / "b.png")
    (tmp_path / "m.csv").write_text("image,split\na.png,train\nb.png,train\n")
    prepare(tmp_path / "m.csv", tiny_config, tmp_path / "out", workers=1)
    said = capsys.readouterr().err
    assert "reading the files' content: done, 2 files" in said
    assert "preparing: 1 of 2 files" in said and "preparing: done, 2 files" in said
