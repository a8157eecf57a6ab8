"""What every quantizer keeps to, whichever it is."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from family import FAMILY, a_range, nearest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.quantizers import (
    FSQ,
    Assignment,
    GroupedQuantizer,
    JointQuantizer,
    LookupFree,
    ProjectedQuantizer,
    ResidualQuantizer,
    SimVQ,
    VectorQuantizer,
)
from vqmm.quantizers.revival import draw_places

every = pytest.mark.parametrize("kind", FAMILY)


def latents(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@every
def test_values_are_those_of_the_codes_which_lie_in_their_range(kind):
    quantizer = FAMILY[kind]()
    name = a_range(quantizer)
    out = quantizer(latents(0, 3, 7, 4), range=name)
    start, stop = quantizer.range_of(name)
    codes = np.array(out.codes)
    assert codes.dtype == np.int32
    assert codes.min() >= start and codes.max() < stop <= quantizer.num_codes
    np.testing.assert_allclose(quantizer.codes_to_values(codes, name), out.values, atol=1e-6)
    np.testing.assert_array_equal(quantizer.nearest(latents(0, 3, 7, 4), name), codes)
    assert quantizer.table(name).shape[0] == stop - start


# Elsewhere values are no latents: levels sum up, projections and bounds do not invert.
@pytest.mark.parametrize("kind", sorted(set(FAMILY) - {"residual", "joint", "projected", "fsq"}))
def test_values_are_their_own_codes(kind):
    quantizer = FAMILY[kind]()
    name = a_range(quantizer)
    out = quantizer(latents(1, 2, 30, 4), range=name)
    np.testing.assert_array_equal(quantizer.nearest(out.values, name), out.codes)


@every
def test_any_leading_axes(kind):
    quantizer = FAMILY[kind]()
    name = a_range(quantizer)
    x = latents(2, 24, 1, 4)
    flat = quantizer(x, range=name)
    shaped = quantizer(x.reshape(2, 3, 4, 4), range=name)
    np.testing.assert_array_equal(np.ravel(shaped.codes), np.ravel(flat.codes))
    np.testing.assert_allclose(shaped.commitment_loss, flat.commitment_loss, rtol=1e-5)


@pytest.mark.parametrize("kind", sorted(set(FAMILY) - {"fsq"}))  # it has no losses
def test_absent_items_add_nothing(kind):
    quantizer = FAMILY[kind]()
    name = a_range(quantizer)
    x, present = latents(3, 6, 5, 4), np.arange(6) < 3
    some = quantizer(x, range=name, present=present)
    other = quantizer(np.where(present[:, None, None], x, 9.0), range=name, present=present)
    for a, b in zip(some[2:], other[2:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    alone = quantizer(x[:3], range=name)
    assert float(alone.commitment_loss) > 0
    np.testing.assert_allclose(some.commitment_loss, alone.commitment_loss, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(some.entropy_loss, alone.entropy_loss, rtol=1e-5, atol=1e-7)


@every
@pytest.mark.parametrize("shape", [(0, 5, 4), (3, 0, 4)])
def test_no_tokens_are_no_loss_and_move_nothing(kind, shape):
    quantizer = FAMILY[kind]()
    name, x = a_range(quantizer), tf.zeros(shape)
    with tf.GradientTape() as tape:
        out = quantizer(x, range=name, present=tf.ones(shape[0], bool))
        losses = out[2:]
        total = sum(losses)
    assert [float(loss) for loss in losses] == [0.0, 0.0, 0.0]
    assert out.values.shape == shape and np.size(out.codes) == 0
    for gradient in tape.gradient(total, quantizer.trainable_variables):
        assert gradient is None or not np.any(gradient)
    before = quantizer.get_weights()
    quantizer.update([Assignment(x, out.codes, tf.ones(shape[0], bool), name)])
    for old, new in zip(before, quantizer.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@every
def test_computes_in_float32_under_mixed_precision(kind):
    x = latents(4, 2, 5, 4)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        quantizer = FAMILY[kind]()
        out = quantizer(tf.constant(x, "float16"), range=a_range(quantizer))
    finally:
        keras.config.set_dtype_policy(before)
    assert {str(w.dtype) for w in quantizer.trainable_weights} <= {"float32"}
    assert out.values.dtype == tf.float32
    exact = quantizer(x.astype("float16").astype("float32"), range=a_range(quantizer))
    np.testing.assert_array_equal(out.codes, exact.codes)


@every
def test_compiles_with_xla(kind):
    quantizer = FAMILY[kind]()
    name = a_range(quantizer)
    x = tf.constant(latents(5, 2, 5, 4))
    quantizer(x, range=name)

    @tf.function(jit_compile=True, autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = quantizer(x, range=name)
            loss = tf.reduce_sum(tf.square(out.values)) + sum(out[2:])
        return out.codes, tape.gradient(loss, x)

    codes, gradient = step(x)
    np.testing.assert_array_equal(codes, quantizer(x, range=name).codes)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


@every
def test_saves_and_loads_in_safe_mode(kind, tmp_path):
    quantizer = FAMILY[kind]()
    name = a_range(quantizer)
    x = latents(6, 4, 5, 4)
    quantizer.update([Assignment(x, quantizer(x, range=name).codes, None, name)])
    item = keras.Input((5, 4))
    model = keras.Model(item, quantizer(item, range=name).values)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(x), model(x))


MOVED = sorted(set(FAMILY) - {"fsq", "lfq", "bsq", "sim", "nearest, gradient"})  # by `update`


@pytest.mark.parametrize("kind", MOVED)
def test_the_order_of_modalities_changes_nothing(kind):
    forward, backward = FAMILY[kind](), FAMILY[kind]()
    before = forward.get_weights()
    name = a_range(forward)
    parts = [
        Assignment(x, forward(x, range=name).codes, None, name)
        for x in (latents(7, 3, 4, 4), latents(8, 2, 9, 4))
    ]
    forward.update(parts)
    backward.update(parts[::-1])
    assert any((old != new).any() for old, new in zip(before, forward.get_weights(), strict=True))
    for a, b in zip(forward.weights, backward.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@every
def test_off_it_passes_latents_without_codes(kind):
    quantizer = FAMILY[kind]()
    quantizer.start(False)
    x = latents(9, 2, 5, 4)
    if quantizer.distance == "cosine" and kind != "projected":
        x /= np.linalg.norm(x, axis=-1, keepdims=True)
    out = quantizer(x, range=a_range(quantizer))
    if kind not in ("fsq", "projected", "joint"):  # these squeeze latents before they round
        np.testing.assert_allclose(out.values, x, atol=1e-6)
    assert [float(out.commitment_loss), float(out.entropy_loss)] == [0.0, 0.0]
    if kind != "projected":  # projections are trained before the codes are
        assert float(out.codebook_loss) == 0.0
    quantizer.start()
    assert np.abs(np.array(quantizer(x, range=a_range(quantizer)).values) - x).max() > 1e-3


@every
def test_a_wrong_last_axis_and_an_unknown_range_are_refused(kind):
    quantizer = FAMILY[kind]()
    with pytest.raises(ValueError, match=r"last axis must be dim=4"):
        quantizer(latents(10, 2, 5, 3), range=a_range(quantizer))
    with pytest.raises(ValueError, match="range 'shraed'"):
        quantizer(latents(10, 2, 5, 4), range="shraed")


def test_the_same_codes_values_losses_and_updates_on_jax(tmp_path):
    """The layers are written in keras.ops: another backend computes the same from the same weights.

    New places of dead codes are drawn by the backend: they are compared for the same draws.
    """
    script = """
import pickle, sys
import numpy as np
from family import FAMILY, a_range
from vqmm.quantizers import Assignment
from vqmm.quantizers.revival import draw_places
weights = pickle.load(open(sys.argv[1], "rb"))
found = {}
for kind, make in FAMILY.items():
    quantizer = make()
    quantizer.set_weights(weights[kind])
    name = a_range(quantizer)
    out = quantizer(weights["x"], range=name)
    for x, mask in weights["updates"]:
        quantizer.update([Assignment(x, quantizer.nearest(x, name), mask, name)])
    found[kind] = [np.array(part) for part in out], quantizer.get_weights()
found["places"] = np.array(draw_places(*weights["places"]))
pickle.dump(found, open(sys.argv[2], "wb"))
"""
    import pickle

    x = latents(11, 3, 20, 4)
    made = {kind: make() for kind, make in FAMILY.items()}
    weights = {kind: quantizer.get_weights() for kind, quantizer in made.items()}
    updates = [(latents(20 + step, 6, 5, 4), np.arange(6) != step) for step in range(3)]
    places = some_places()
    given = {**weights, "x": x, "updates": updates, "places": places}
    (tmp_path / "in").write_bytes(pickle.dumps(given))
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "in", tmp_path / "out"],
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=Path(__file__).parent,
        check=True,
    )
    found = pickle.loads((tmp_path / "out").read_bytes())
    np.testing.assert_allclose(found["places"], draw_places(*places), atol=1e-6)
    for kind, quantizer in made.items():
        name = a_range(quantizer)
        out = quantizer(x, range=name)
        theirs, moved = found[kind]
        np.testing.assert_array_equal(theirs[1], out.codes, err_msg=kind)
        for a, b in zip(theirs, out, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5, err_msg=kind)
        for tokens, mask in updates:
            quantizer.update([Assignment(tokens, quantizer.nearest(tokens, name), mask, name)])
        ours = quantizer.get_weights()
        changed = any((old != new).any() for old, new in zip(weights[kind], ours, strict=True))
        assert changed == (kind in MOVED or kind == "nearest, gradient")  # which counts its codes
        for a, b in zip(moved, ours, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5, err_msg=kind)


def some_places():
    """Draws, tokens of three modalities and which of them are there; the second has none."""
    draws = np.random.default_rng(15).uniform(size=(2, 40)).astype("float32")
    tokens = [latents(30, 7, 3), latents(31, 4, 3), latents(32, 9, 3)]
    return draws, tokens, [(np.arange(len(x)) % 3 < 2 * (len(x) != 4)).astype("float32") for x in tokens]


def test_new_places_are_those_of_numpy():
    """A modality by even chance, ordered by the sum of its tokens; one of its tokens by even chance."""
    draws, tokens, present = some_places()
    there = [x[w > 0] for x, w in zip(tokens, present, strict=True) if w.any()]
    there.sort(key=lambda x: x.sum())
    expected = []
    for modality, rank in draws.T:
        mine = there[int(modality * len(there))]
        expected.append(mine[int(rank * len(mine))])
    np.testing.assert_allclose(draw_places(draws, tokens, present), expected, atol=1e-6)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31 - 1), scale=st.floats(0.01, 100.0))
def test_rotation_takes_latents_to_their_values_and_keeps_angles(seed, scale):
    from vqmm.quantizers.estimators import rotate

    rng = np.random.default_rng(seed)
    x, q, pull = (rng.normal(size=(6, 5)) for _ in range(3))
    x, q, pull = tf.constant(x * scale, "float32"), tf.constant(q, "float32"), tf.constant(pull, "float32")
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = rotate(x, q)
        loss = tf.reduce_sum(out * pull)
    gradient = tape.gradient(loss, x).numpy()
    np.testing.assert_allclose(out, q, atol=1e-4)
    ratio = np.linalg.norm(q, axis=1) / np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(
        np.linalg.norm(gradient, axis=1), ratio * np.linalg.norm(pull, axis=1), rtol=1e-3
    )

    def cosine(a, b):
        return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)

    np.testing.assert_allclose(cosine(gradient, x.numpy()), cosine(pull.numpy(), q.numpy()), atol=1e-3)


@pytest.mark.parametrize("length", [0.0, 1e-9])
def test_rotation_of_a_latent_without_direction_is_its_code(length):
    from vqmm.quantizers.estimators import rotate

    x, q = tf.constant([[length, 0, 0], [3.0, 0, 0]]), tf.constant([[0, 2.0, 1.0], [0, 0, 1.0]])
    pull = latents(14, 2, 3)
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = rotate(x, q)
        loss = tf.reduce_sum(out * pull)
    np.testing.assert_allclose(out, q, atol=1e-6)
    gradient = tape.gradient(loss, x).numpy()
    np.testing.assert_allclose(gradient[0], pull[0], atol=1e-6)  # straight through
    np.testing.assert_allclose(np.linalg.norm(gradient[1]), np.linalg.norm(pull[1]) / 3, rtol=1e-5)


REFUSED = {
    "euclidean codebook": lambda: ResidualQuantizer([nearest(distance="cosine"), nearest()]),
    "do not shrink": lambda: ResidualQuantizer([FSQ((3, 3)), FSQ((3, 3))]),
    "is ProjectedQuantizer, which holds": lambda: ResidualQuantizer([ProjectedQuantizer(nearest(2), 4)]),
    r"around them: ProjectedQuantizer\(ResidualQuantizer": lambda: ResidualQuantizer(
        [ProjectedQuantizer(FSQ((3, 3)), 4), ProjectedQuantizer(LookupFree(2), 4)]
    ),
    "is GroupedQuantizer, which holds": lambda: ResidualQuantizer([GroupedQuantizer([nearest()])]),
    "level 1 is ResidualQuantizer": lambda: ResidualQuantizer([nearest(), ResidualQuantizer([nearest()])]),
    "is JointQuantizer, which holds": lambda: ResidualQuantizer([JointQuantizer({"shared": nearest()})]),
    "have 3221225472 together": lambda: JointQuantizer({name: LookupFree(30) for name in "abc"}),
    "at most 2147483647, take fewer": lambda: GroupedQuantizer([LookupFree(30), LookupFree(30)]),
    "all of the same dim": lambda: ResidualQuantizer([nearest(3), nearest(4)]),
    "sums several": lambda: ResidualQuantizer([nearest(estimator="rotation")]),
    "legal: 0 to 1": lambda: ResidualQuantizer([nearest()], dropout=1.5),
    "heads share exactly one": lambda: GroupedQuantizer([nearest(2), nearest(2)], heads=2),
    "all alike": lambda: GroupedQuantizer([nearest(2), nearest(3)]),
    "on the parts": lambda: GroupedQuantizer([nearest(2)], heads=2, estimator="rotation"),
    "at least 2 levels": lambda: FSQ((8, 1)),
    "take fewer axes": lambda: FSQ((1000,) * 4),
    "already lies next": lambda: FSQ((8, 5), estimator="rotation"),
    "legal: 1 to 30": lambda: LookupFree(31),
    "divides bits=6": lambda: LookupFree(6, group_bits=4),
    "at most 14": lambda: LookupFree(30, group_bits=15),
    "nothing to learn": lambda: LookupFree(1, spherical=True),
    "spherical=True": lambda: LookupFree(4, estimator="rotation"),
    "cannot make room": lambda: ProjectedQuantizer(nearest(8), 4),
    "inner quantizer": lambda: ProjectedQuantizer(nearest(2), 4, estimator="rotation"),
    "wrap the others": lambda: JointQuantizer({"shared": nearest(2), "image": nearest(4)}),
    "two directions only": lambda: VectorQuantizer({"shared": 4}, 1, distance="cosine"),
    "both are at least 1": lambda: SimVQ(0, 4),
    "cannot be rotated": lambda: SimVQ(8, 1, estimator="rotation"),
    "legal: straight_through, rotation": lambda: SimVQ(8, 4, estimator="rotated"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_work_is_refused_when_it_is_made(reason):
    with pytest.raises(ValueError, match="(?i)" + reason):
        REFUSED[reason]()


def test_a_joint_quantizer_wants_to_know_the_range():
    quantizer, x = FAMILY["joint"](), latents(12, 1, 1, 4)
    with pytest.raises(ValueError, match="name a range: this quantizer has shared, image"):
        quantizer(x)
    codes = quantizer.nearest(x, "image")
    with pytest.raises(ValueError, match="name a range: this quantizer has shared, image"):
        quantizer.update([Assignment(x, codes, None)])
    with pytest.raises(ValueError, match=r"range 'imege'.*did you mean 'image'.* has shared, image"):
        quantizer.update([Assignment(x, codes, None, "image"), Assignment(x, codes, None, "imege")])


def test_a_projection_around_a_residual_learns_on_both_sides():
    """What a refused level is to be written as: its outer projections get a gradient, and it saves."""
    quantizer = ProjectedQuantizer(ResidualQuantizer([nearest(2, seed=1), nearest(2, seed=2)]), 4)
    x = tf.constant(latents(13, 3, 5, 4))
    with tf.GradientTape() as tape:
        out = quantizer(x)
        loss = tf.reduce_sum(tf.square(out.values - x)) + sum(out[2:])
    for gradient in tape.gradient(loss, quantizer.trainable_variables):
        assert np.abs(gradient).max() > 0
    np.testing.assert_allclose(quantizer.codes_to_values(out.codes), out.values, atol=1e-5)
    assert out.codes.shape == (3, 5, 2)
