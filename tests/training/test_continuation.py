"""Steps added to a run: what becomes of the learning rate, of the former model, and what is said."""

import keras
import numpy as np
import pytest
from test_run_folder import DATA, begun, changed

from vqmm.atomic import write_atomic
from vqmm.config import Train, load_config
from vqmm.errors import UserError
from vqmm.training.continuation import continuation, keep_former_model
from vqmm.training.loop import train
from vqmm.training.optimizer import make_schedule
from vqmm.training.progress import TrainingProgress
from vqmm.training.run_folder import RunFolder, check_run, create_run, open_run

TOP, STEPS, WARMUP = 0.5, 110, 10


def rate(step, steps=STEPS, warmup=WARMUP):
    """Warm-up and cosine down to a hundredth, in plain numpy."""
    if step < warmup:
        return TOP * (1 / warmup + (1 - 1 / warmup) * step / warmup)
    part = min(step - warmup, steps - warmup) / (steps - warmup)
    return TOP * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * part)))


@pytest.mark.parametrize(
    "continuation, expected",
    [
        ("constant", lambda step: 0.01 * TOP),
        ("warmup", lambda step: rate(step - STEPS, 190)),
        ("cosine", lambda step: rate(step, 300)),
    ],
)
def test_added_steps_have_the_rate_that_was_chosen(continuation, expected):
    spec = Train(
        steps=300, warmup_steps=WARMUP, learning_rate=TOP, continued_from=STEPS, continuation=continuation
    )
    schedule = make_schedule(spec)
    again = type(schedule).from_config(schedule.get_config())
    for step in (110, 115, 120, 200, 299):
        assert float(schedule(step)) == pytest.approx(expected(step), rel=1e-5), step
        assert float(again(keras.ops.convert_to_tensor(step, "int64"))) == float(schedule(step))


def ended(path, config):
    """A run that has come to its end."""
    begun(path, config)
    (RunFolder(path).last / f"ckpt-{config.train.steps}.index").touch()
    RunFolder(path).model.write_bytes(b"former")
    return path


def test_a_finished_run_goes_on_from_its_end_and_says_how(tmp_path, tiny_config):
    ended(tmp_path, tiny_config)
    more = changed(tiny_config, steps=40)
    config, said = continuation(tmp_path, more)
    assert config.train.continued_from == 12
    assert "from 12 to 40" in said and "stays at 2e-05" in said and "warmup, cosine" in said
    check_run(tmp_path, more, DATA)
    for _ in range(2):  # the same command continues what it began
        with create_run(tmp_path, more, DATA) as run:
            assert load_config(run.config) == config
    assert continuation(tmp_path, more) == (config, None)
    with pytest.raises(UserError, match="train.continuation: 'constant' → 'warmup'"):
        check_run(tmp_path, changed(more, continuation="warmup"), DATA)


@pytest.mark.parametrize(
    "how, said",
    [
        ("warmup", "rises from 2e-05 to 0.002 over train.warmup_steps=2"),
        ("cosine", "jumps from 2e-05 to 0.00"),
    ],
)
def test_the_rate_may_rise_again_when_steps_are_added(tmp_path, tiny_config, how, said):
    ended(tmp_path, tiny_config)
    more = changed(tiny_config, steps=40, continuation=how)
    check_run(tmp_path, more, DATA)
    assert said in continuation(tmp_path, more)[1]


def test_an_unfinished_run_keeps_one_schedule_and_says_where_the_rate_changes(tmp_path, tiny_config):
    begun(tmp_path, tiny_config)
    (RunFolder(tmp_path).last / "ckpt-6.index").touch()
    assert continuation(tmp_path, tiny_config) == (tiny_config, None)
    config, said = continuation(tmp_path, changed(tiny_config, steps=40))
    assert config.train.continued_from == 0
    assert "before the run has ended" in said and "at step 6 changes from" in said


def test_a_start_that_is_not_that_of_the_run_is_refused(tmp_path, tiny_config):
    wrong = changed(tiny_config, steps=40, continued_from=11)
    for path in (tmp_path / "new", ended(tmp_path / "old", tiny_config)):
        with pytest.raises(UserError, match="train.continued_from=11.*leave the key out"):
            continuation(path, wrong)
    right = changed(tiny_config, steps=40, continued_from=12)
    assert continuation(tmp_path / "old", right)[0] == right


def test_added_steps_too_few_for_their_warm_up_are_refused(tmp_path, tiny_config):
    ended(tmp_path, tiny_config)
    few = continuation(tmp_path, changed(tiny_config, steps=14, continuation="warmup"))[0]
    with pytest.raises(UserError, match="2 steps added to 12.*train.warmup_steps=2.*above 14"):
        check_run(tmp_path, few, DATA)


def test_workers_that_cannot_see_the_folder_are_to_be_given_the_start(tmp_path, tiny_config, monkeypatch):
    from vqmm.training import cluster, run_folder

    ended(tmp_path, tiny_config)
    monkeypatch.setattr(run_folder, "task_of", lambda train: cluster.Task(0, 2))
    more = changed(tiny_config, steps=40)
    with pytest.raises(UserError, match="give all of them --set train.continued_from=12"):
        check_run(tmp_path, more, DATA)
    check_run(tmp_path, changed(more, continued_from=12), DATA)


def test_the_former_model_is_kept_once(tmp_path, tiny_config):
    run = RunFolder(ended(tmp_path, tiny_config))
    more = changed(tiny_config, steps=40, continued_from=12)
    assert keep_former_model(run, tiny_config, 12) is None
    assert keep_former_model(run, more, 13) is None
    kept = keep_former_model(run, more, 12)
    assert kept == tmp_path / "model-12.keras" and kept.read_bytes() == b"former"
    write_atomic(run.model, b"new")  # as a model is saved
    assert keep_former_model(run, more, 12) is None and kept.read_bytes() == b"former"


class Saying(TrainingProgress):
    """Keeps what is said."""

    def __init__(self, steps):
        super().__init__(steps)
        self.said = []

    def say(self, text):
        self.said.append(text)


def test_added_steps_leave_the_former_model_and_say_so(coarse_config, tiny_data, tmp_path, nudging_steps):
    short = changed(coarse_config, steps=5, validate_every=5, checkpoint_every=5, model="last")
    former = train(short, tiny_data, tmp_path, Saying(5))
    watching = Saying(7)
    longer = train(changed(short, steps=7), tiny_data, tmp_path, watching)
    assert longer.config.train.continued_from == 5 and open_run(tmp_path).step == 7
    assert watching.said[0].endswith("at step 5 of 7")
    assert "stays at" in watching.said[1] and "model-5.keras" in watching.said[2]
    kept = keras.saving.load_model(tmp_path / "model-5.keras", compile=False)
    for ours, theirs in zip(kept.weights, former.model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
