"""Codes that begin late move as far at their first steps as weights that begin first."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import Config, Train
from vqmm.data.batches import training_batches
from vqmm.models import build_model
from vqmm.training.codebook_start import start_codebook
from vqmm.training.optimizer import compile_model, make_optimizer

TRAIN = {"steps": 2000, "warmup_steps": 0, "learning_rate": 0.01, "clip_norm": 1e9}


def adam_by_hand(gradients, rates):
    """Moves of a variable whose first gradient is `gradients[0]` (Kingma and Ba 2015, algorithm 1)."""
    m, v, moves = 0.0, 0.0, []
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        moves.append(-rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7))
    return moves


@pytest.mark.parametrize("restart", [False, True])
def test_first_moves_after_many_steps_of_zeros_in_closed_form(restart):
    optimizer = make_optimizer(Train(**TRAIN))
    table = keras.Variable(np.zeros((3, 2), "float32"), name="codebook")
    other = keras.Variable(np.zeros(2, "float32"), name="kernel")
    optimizer.build([table, other])
    optimizer.allow_restart([table])
    apply = tf.function(lambda a, b: optimizer.apply([a, b], [table, other]))
    rng = np.random.default_rng(0)
    for _ in range(900):  # the last row is trained from the start
        row = np.array([[0, 0], [0, 0], rng.standard_normal(2)], "float32")
        apply(tf.constant(row), tf.constant(rng.standard_normal(2), tf.float32))
    reference = [x.numpy() for x in (table, other)]
    if restart:
        optimizer.restart(table, np.array([True, True, False]))
    gradients, lengths, rates = rng.standard_normal((30, 3, 2)), [], []
    for step in range(30):
        before = table.numpy()
        rates.append(float(optimizer.learning_rate))
        apply(tf.constant(gradients[step], tf.float32), tf.zeros(2))
        lengths.append((table.numpy() - before)[:2])
    expected = adam_by_hand(gradients[:, :2], np.array(rates)[:, None, None])
    if restart:
        np.testing.assert_allclose(lengths, expected, rtol=2e-3, atol=1e-6)
    else:  # what happened before: several times too far
        ratio = np.linalg.norm(lengths[:20]) / np.linalg.norm(expected[:20])
        assert 3 < ratio < 8
    assert np.any(table.numpy()[2] != reference[0][2])


def test_rows_that_do_not_begin_anew_move_as_with_plain_adam():
    moved = []
    for restart in (False, True):
        optimizer = make_optimizer(Train(**TRAIN))
        table = keras.Variable(np.zeros((3, 2), "float32"), name="codebook")
        optimizer.build([table])
        if restart:
            optimizer.allow_restart([table])
        rng = np.random.default_rng(1)
        for step in range(8):
            if restart and step == 4:
                optimizer.restart(table, np.array([True, True, False]))
            optimizer.apply([rng.standard_normal((3, 2)).astype("float32")], [table])
        moved.append(table.numpy())
    np.testing.assert_allclose(moved[0][2], moved[1][2], rtol=1e-6)
    assert np.abs(moved[0][:2] - moved[1][:2]).min() > 1e-5


def test_a_variable_that_was_not_named_is_refused():
    optimizer = make_optimizer(Train(**TRAIN))
    table = keras.Variable(np.zeros((3, 2), "float32"), name="codebook")
    optimizer.build([table])
    with pytest.raises(ValueError, match="call allow_restart with it"):
        optimizer.restart(table, np.ones(3, bool))


@pytest.mark.parametrize("kind", ["table", "sim", "accumulated", "float16"])
def test_codes_that_gradients_move_begin_when_they_are_placed(tiny_config, tiny_data, kind):
    tree = tiny_config.model_dump(mode="json")
    tree["loss"].update(swapped=0, agreement=1)
    tree["train"].update(mixed_precision="float16" if kind == "float16" else False)
    tree["train"]["accumulate"] = 2 if kind == "accumulated" else 1
    if kind == "sim":
        tree["model"]["quantizer"].update(kind="sim", distance="euclidean")
    config = Config.model_validate(tree)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if kind == "float16" else before)
    try:
        model = build_model(config)
        (optimizer,) = compile_model(model, config)
    finally:
        keras.config.set_dtype_policy(before)
    batches = list(training_batches(tiny_data, config).take(2))
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner._iterations.assign(1800 if kind == "accumulated" else 900)  # which counts calls, not moves
    start_codebook(model, batches)
    (codes,) = model.quantizer.trainable_variables
    first, last = (0, codes.shape[0]) if kind == "sim" else model.quantizer.ranges["shared"]
    if kind in ("table", "sim"):
        old = codes.numpy()
        items = {name: value for name, value in batches[0].items() if value.dtype != tf.string}
        rate = float(inner.learning_rate)
        model.train_step(items)
        moves = np.abs(codes.numpy() - old)[first:last]
        # At its first step Adam moves every weight that has a gradient by the learning rate.
        assert moves.max() == pytest.approx(rate, rel=0.02)
    (begun,) = inner._begun.values()
    np.testing.assert_array_equal(np.ravel(begun)[first:last], 900.0)


def test_replicas_begin_anew_together(tiny_config, tiny_data, two_replicas):
    tree = tiny_config.model_dump(mode="json")
    tree["loss"].update(swapped=0, agreement=1)
    config = Config.model_validate(tree)
    with two_replicas.scope():
        model = build_model(config)
        (optimizer,) = compile_model(model, config)
    optimizer._iterations.assign(5)
    start_codebook(model, list(training_batches(tiny_data, config).take(2)))
    (begun,) = optimizer._begun.values()
    copies = two_replicas.experimental_local_results(begun.value)
    assert len(copies) == 2
    for copy in copies:
        np.testing.assert_array_equal(np.ravel(copy)[slice(*model.quantizer.ranges["shared"])], 5.0)


def test_a_saved_model_brings_the_steps_of_its_rows(tmp_path, tiny_config):
    tree = tiny_config.model_dump(mode="json")
    tree["model"]["quantizer"]["shared_update"] = "gradient"
    config = type(tiny_config).model_validate(tree)
    model = build_model(config)
    (optimizer,) = compile_model(model, config)
    table = model.quantizer.trainable_variables[0]
    optimizer.iterations.assign(7)
    optimizer.restart(table, np.arange(table.shape[0]) % 2 == 0)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert twin.optimizer.restartable == optimizer.restartable != ()
    for one, other in zip(optimizer.variables, twin.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)
