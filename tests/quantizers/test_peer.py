"""The quantizers against vector-quantize-pytorch 1.32, by the figures that `golden/make_peer.py` kept."""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vqmm.quantizers import FSQ, Assignment, LookupFree, ResidualQuantizer, SimVQ, VectorQuantizer

KEPT = Path(__file__).with_name("golden") / "peer.npz"
with np.load(os.environ.get("PEER_CASES", KEPT)) as file:
    PEER = dict(file)


class Case:
    """What the peer was given and what it gave, by name."""

    def __init__(self, name):
        self.arrays = {key.partition("/")[2]: v for key, v in PEER.items() if key.startswith(f"{name}/")}

    def __getattr__(self, name):
        return self.arrays[name]


def forward_and_backward(layer, case):
    """`Quantized`, and the gradients of sum(values * pull) + losses for the latents and the weights."""
    x = tf.constant(case.x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(x)
        total = tf.reduce_sum(out.values * case.pull) + sum(out[2:])
    gradients = tape.gradient(total, [x, *layer.trainable_variables])
    return out, gradients[0].numpy(), gradients[1:]


def check(out, gradient, case, codes=None):
    """All codes equal (none of these inputs lies between two codes), values and gradients to 1e-5."""
    np.testing.assert_array_equal(out.codes if codes is None else codes, case.codes)
    np.testing.assert_allclose(out.values, case.values, atol=1e-5)
    np.testing.assert_allclose(gradient, case.gradient, atol=1e-5, rtol=1e-5)


def placed(table, distance, **settings):
    layer = VectorQuantizer(
        {"codes": len(table)}, table.shape[1], distance=distance, decay=0.9, revive_below=0.0, **settings
    )
    layer.place("codes", table)
    return layer


@pytest.mark.parametrize("name", ["euclidean", "cosine", "rotation"])
def test_nearest_neighbour_and_its_moving_average(name):
    case = Case(name)
    layer = placed(
        case.table,
        "cosine" if name == "cosine" else "euclidean",
        estimator="rotation" if name == "rotation" else "straight_through",
    )
    layer.counts.assign(case.counts)
    layer.sums.assign(case.table * case.counts[:, None])
    out, gradient, _ = forward_and_backward(layer, case)
    if name == "cosine":  # the peer's inputs are of unit length, and its gradient stops there
        x = case.x / np.linalg.norm(case.x, axis=-1, keepdims=True)
        case.arrays["gradient"] = case.gradient - x * (case.gradient * x).sum(-1, keepdims=True)
    check(out, gradient, case)
    assert float(out.commitment_loss) == pytest.approx(float(case.commitment), rel=1e-5)
    layer.update([Assignment(case.x, out.codes, None)])
    np.testing.assert_allclose(layer.counts, case.counts_after, rtol=1e-5)
    np.testing.assert_allclose(layer.sums, case.sums_after, atol=1e-5)
    np.testing.assert_allclose(layer.codebook, case.table_after, atol=1e-5)


@pytest.mark.parametrize(("name", "levels"), [("fsq_odd", (7, 5, 5)), ("fsq_even", (8, 6, 4, 3))])
def test_fsq(name, levels):
    case = Case(name)
    out, gradient, _ = forward_and_backward(FSQ(levels), case)
    check(out, gradient, case)


@pytest.mark.parametrize("name", ["lfq", "bsq"])
def test_lookup_free(name):
    case = Case(name)
    layer = LookupFree(6, spherical=name == "bsq", inverse_temperature=1.5, group_bits=6)
    out, gradient, _ = forward_and_backward(layer, case)
    check(out, gradient, case)
    assert float(out.commitment_loss) == pytest.approx(0.25 * float(case.commitment), rel=1e-5)
    assert float(out.entropy_loss) == pytest.approx(0.1 * float(case.sure - case.even), abs=1e-5)


@pytest.mark.parametrize("name", ["sim_vq", "sim_vq_rotation"])
def test_sim_vq(name):
    case = Case(name)
    rotation = name.endswith("rotation")
    layer = SimVQ(32, 8, estimator="rotation" if rotation else "straight_through")
    layer.codebook.assign(case.frozen)
    layer.map.assign(case.map)
    out, gradient, (of_map,) = forward_and_backward(layer, case)
    check(out, gradient, case)
    assert float(out.commitment_loss + out.codebook_loss) == pytest.approx(float(case.loss), rel=1e-5)
    np.testing.assert_allclose(of_map, case.map_gradient, atol=1e-5, rtol=1e-5)


def test_residual():
    case = Case("residual")
    layer = ResidualQuantizer([placed(table, "euclidean") for table in case.tables])
    out, gradient, _ = forward_and_backward(layer, case)
    # The peer passes the gradient straight through at each level, so that it arrives three times.
    case.arrays["gradient"] = case.gradient - 2 * case.pull
    check(out, gradient, case, codes=np.array(out.codes) - 16 * np.arange(3))
    assert float(out.commitment_loss) == pytest.approx(float(case.commitment), rel=1e-5)
    layer.update([Assignment(case.x, out.codes, None)])
    for part, table in zip(layer.parts, case.tables_after, strict=True):
        np.testing.assert_allclose(part.codebook, table, atol=1e-5)
