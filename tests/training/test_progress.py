import io

import pytest
from rich.console import Console

from vqmm.training.progress import TrainingProgress, summary

FIGURES = {"loss": 1.5, "odd": 3.0, "pair_agreement": 0.25, "steps_per_second": 12.34}


def test_summary_has_the_figures_that_matter_in_order():
    assert summary(FIGURES) == "12.3 steps/s  loss 1.500  pair_agreement 0.250"


def test_what_tells_of_discriminators_is_among_them():
    figures = {"adversarial_weight_audio": 0.5, "discriminator_accuracy_audio": 0.75, "gradient_audio": 2.0}
    assert summary(figures) == "judged_audio 0.750  push_audio 0.500  gradient_audio 2.000"


@pytest.mark.parametrize("quiet, lines", [(0.0, 2), (1e9, 0)])
def test_lines_now_and_then_where_there_is_no_terminal(quiet, lines):
    out = io.StringIO()
    progress = TrainingProgress(100, Console(file=out), quiet)
    with progress.running(0):
        progress.trained(20, FIGURES)
        progress.trained(40, FIGURES)
    assert out.getvalue().count("\n") == lines
    progress.validated(40, {"retrieval_map": 0.5}, best=True)
    assert "step 40/100  validation* retrieval_map 0.500" in out.getvalue()


def test_a_bar_on_a_terminal():
    out = io.StringIO()
    progress = TrainingProgress(100, Console(file=out, force_terminal=True, width=120, _environ={}), 1e9)
    with progress.running(10):
        progress.trained(20, FIGURES)
    assert "20/100" in out.getvalue()
    assert "loss 1.500" in out.getvalue()
