import numpy as np
import pytest
import tensorflow as tf

from vqmm.data.batches import training_batches
from vqmm.models import build_model
from vqmm.training.optimizer import make_optimizer
from vqmm.training.step_runner import StepRunner


def runner(config, data, **options):
    model = build_model(config)
    model.compile(optimizer=make_optimizer(config.train))
    batches = training_batches(data, config)
    return model, StepRunner(model, tf.distribute.get_strategy(), batches, **options)


@pytest.fixture(scope="module")
def one_by_one(tiny_config, tiny_data):
    model, run = runner(tiny_config, tiny_data)
    rows = np.concatenate([run.run(count) for count in (1, 2, 3)])
    return model, rows, run.names


def test_how_steps_are_grouped_changes_nothing(tiny_config, tiny_data, one_by_one):
    model, run = runner(tiny_config, tiny_data)
    rows = run.run(6)
    wanted, wanted_rows, names = one_by_one
    assert run.names == names and names[0] == "loss" and rows.shape == (6, len(names))
    np.testing.assert_array_equal(rows, wanted_rows)
    for ours, theirs in zip(model.variables, wanted.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=ours.path)
    assert int(model.step) == 6


def test_xla_and_keras_fit_take_the_same_steps(tiny_config, tiny_data):
    sure = tiny_config.model.model_copy(update={"dropout": 0.0, "private_drop": 0.0})  # XLA draws otherwise
    started = tiny_config.schedule.model_copy(update={"quantize_from": 0})  # fit does not start codes
    config = tiny_config.model_copy(update={"model": sure, "schedule": started})
    compiled, run = runner(config, tiny_data, jit_compile=True)
    run.run(3)
    traced = run._many.get_concrete_function(run._iterator, tf.constant(1)).graph.as_graph_def()
    assert any(part.attr["_XlaMustCompile"].b for part in traced.library.function)
    model = build_model(config)
    model.compile(optimizer=make_optimizer(config.train), run_eagerly=True)
    model.fit(training_batches(tiny_data, config), steps_per_epoch=3, shuffle=False, verbose=0)
    for ours, theirs in zip(compiled.weights, model.weights, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=1e-3, err_msg=ours.path)
