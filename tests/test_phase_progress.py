"""Progress of a long phase: a line now and then where there is no terminal."""

import io
import time

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


def test_a_bar_on_a_terminal(clock):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, _environ={})
    with PhaseProgress("hashing", "files", 10, console=console, clock=clock) as progress:
        progress.advance(4)
    assert "4/10" in out.getvalue() and "hashing" in out.getvalue()


@pytest.mark.parametrize("seconds, text", [(0.4, "0 s"), (89, "89 s"), (100, "2 min"), (9000, "2.5 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text
