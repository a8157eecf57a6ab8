"""The figure that decides is known to be there before any work is done; what it is measured on stays."""

import types

import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.training import loop
from vqmm.training.best import BestSoFar
from vqmm.training.loop import Training
from vqmm.training.prior_loop import PriorTraining
from vqmm.training.vocoder_loop import VocoderTraining

PAIRED = {"validation": {"recordings": 3, "pictures": 3}}


def training(config, figures, counts=PAIRED, kind=Training, **train):
    """A training of which only validation is asked, that gives these figures."""
    made = kind.__new__(kind)
    made.config = config.model_copy(update={"train": config.train.model_copy(update=train)})
    made.dataset = types.SimpleNamespace(counts=counts)
    made.coded = False
    made.said = []
    made.progress = types.SimpleNamespace(say=made.said.append)
    made.validation = lambda: figures and types.SimpleNamespace(figures=lambda: dict.fromkeys(figures, 1.0))
    made.best = made._following(made._monitor([]))
    return made


@pytest.mark.parametrize(
    "kind, figures, wrong",
    [
        (Training, ("loss", "retrieval_map", "pair_agreement"), "mel"),
        (Training, ("loss", "kl_audio"), "pair_agreement"),
        (PriorTraining, ("loss", "nats_shared"), "pair_agreement"),
        (VocoderTraining, ("loss", "mel"), "nats_shared"),
    ],
)
def test_a_figure_that_a_run_does_not_have_is_refused_with_those_it_has(tiny_config, kind, figures, wrong):
    with pytest.raises(UserError) as refused:
        training(tiny_config, figures, kind=kind, monitor=wrong)._checked_validation()
    assert wrong in str(refused.value) and ", ".join(figures) in str(refused.value)
    made = training(tiny_config, figures, kind=kind, monitor=figures[-1])
    assert made._checked_validation() and made.best.monitor == figures[-1] and not made.said


@pytest.mark.parametrize("kind", [Training, PriorTraining, VocoderTraining])
@pytest.mark.parametrize("counts", [PAIRED, {"validation": {"recordings": 3, "pictures": 0}}])
def test_the_loss_decides_where_there_is_no_retrieval_and_nothing_else_was_asked_for(
    tiny_config, kind, counts
):
    made = training(tiny_config, ("loss", "mel"), counts, kind)
    made._checked_validation()
    assert made.best.monitor == "loss"
    assert made.said == [
        "validation has no retrieval_map on this data: the loss tells which model is the best"
    ]


def test_a_resumed_run_follows_the_figure_that_it_followed_before(tiny_config):
    made = training(tiny_config, ("loss",))
    lines = [{"step": 6, "split": "validation", "seconds": 1.0, "loss": 0.5}]
    assert made._monitor(lines) == "loss"
    assert made._monitor([{**lines[0], "retrieval_map": 0.5}]) == "retrieval_map"
    made.best = BestSoFar(made._monitor(lines))
    made.best.replay(lines)
    made._checked_validation()
    assert made.best.value == 0.5


def test_a_wrong_figure_ends_the_run_before_features_are_trained(
    tiny_config, tiny_data, tmp_path, monkeypatch
):
    def worked(*args):
        raise AssertionError("work was done before the figure was looked at")

    monkeypatch.setattr(loop.Training, "_teach_perceiver", worked)
    monkeypatch.setattr(loop, "StepRunner", worked)
    train = {"monitor": "mel", "validate_every": 10_000}
    config = tiny_config.model_copy(update={"train": tiny_config.train.model_copy(update=train)})
    with pytest.raises(UserError, match="'mel' is no validation figure.*set it to one of.*retrieval_map"):
        loop.train(config, tiny_data, tmp_path / "run")


def test_the_validation_batch_is_not_that_of_evaluation(tiny_config, tiny_data, monkeypatch):
    sizes = []

    def keep(model, batches):
        sizes.append(len(next(iter(batches))["label"]))
        return [1]

    monkeypatch.setattr(loop, "Validation", keep)
    for size in (3, 8):
        made = training(tiny_config, ("loss",), validation_batch_size=5)
        made.config = made.config.model_copy(
            update={"evaluate": made.config.evaluate.model_copy(update={"batch_size": size})}
        )
        made.dataset, made.model = tiny_data, None
        Training.validation(made)
    assert np.unique(sizes).tolist() == [5]
