import pytest

from vqmm.errors import UserError
from vqmm.training.best import BestSoFar


def seen(best, values, name):
    return [best.see(step, {name: value}) for step, value in enumerate(values, 1)]


def test_larger_is_better_for_retrieval_and_the_later_of_equals_wins():
    best = BestSoFar("retrieval_map")
    assert seen(best, [0.5, 0.7, 0.6, 0.7], "retrieval_map") == [True, True, False, True]
    assert (best.value, best.step) == (0.7, 4)


def test_smaller_is_better_for_losses():
    best = BestSoFar("reconstruction_image")
    assert seen(best, [0.5, 0.7, 0.4], "reconstruction_image") == [True, False, True]


def test_patience_runs_out_without_real_improvement():
    best = BestSoFar("pair_agreement", patience=2)
    seen(best, [0.5, 0.6, 0.6], "pair_agreement")
    assert not best.exhausted
    best.see(4, {"pair_agreement": 0.6})
    assert best.exhausted


def test_no_patience_never_runs_out():
    best = BestSoFar("pair_agreement")
    seen(best, [0.5] * 50, "pair_agreement")
    assert not best.exhausted


def test_validations_before_the_codes_are_placed_do_not_count():
    best = BestSoFar("retrieval_map", patience=1, from_step=3)
    assert seen(best, [0.9, 0.8, 0.1], "retrieval_map") == [False, False, True]
    assert not best.exhausted


def test_replay_gives_the_same_state_as_living_through_it():
    lived, told = BestSoFar("pair_agreement", patience=2), BestSoFar("pair_agreement", patience=2)
    values = [0.2, 0.5, 0.4, 0.5]
    seen(lived, values, "pair_agreement")
    lines = [{"step": 1, "split": "train", "seconds": 0.0, "pair_agreement": 0.99}]
    lines += [
        {"step": n, "split": "validation", "seconds": 0.0, "pair_agreement": v}
        for n, v in enumerate(values, 1)
    ]
    told.replay(lines)
    assert (told.value, told.step, told.exhausted) == (lived.value, lived.step, lived.exhausted)


def test_a_misspelt_figure_is_told_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'retrieval_map'"):
        BestSoFar("retreival_map").see(1, {"retrieval_map": 0.5, "loss": 1.0})
