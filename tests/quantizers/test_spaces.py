"""Quantizers that hold others receive and look up latents in the same spaces as these do."""

import numpy as np
import pytest
from family import FAMILY, a_range, nearest

from vqmm.models import build_model
from vqmm.quantizers import FSQ, GroupedQuantizer, JointQuantizer, LookupFree, ProjectedQuantizer
from vqmm.quantizers import ResidualQuantizer as Residual

NESTED = {
    **FAMILY,
    "joint, cosine": lambda: JointQuantizer({"shared": nearest(distance="cosine")}),
    "grouped, cosine": lambda: GroupedQuantizer([nearest(2, distance="cosine", seed=s) for s in (1, 2)]),
    "grouped, projected": lambda: GroupedQuantizer([ProjectedQuantizer(FSQ((3,)), 2, s) for s in (1, 2)]),
    "grouped, spherical": lambda: GroupedQuantizer([LookupFree(2, spherical=True) for _ in range(2)]),
    "residual, cosine": lambda: Residual([nearest(distance="cosine")]),
}


def latents(seed, *shape):
    return np.random.default_rng(seed).normal(scale=3.0, size=shape).astype("float32")


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_parts_of_a_joint_quantizer_receive_unit_vectors_where_their_distance_is_cosine():
    x = latents(0, 5, 3, 4)
    parts = {"shared": nearest(distance="cosine"), "image": nearest(distance="euclidean")}
    joint = JointQuantizer(parts)
    np.testing.assert_allclose(joint.receive(x, "shared"), unit(x), atol=1e-6)
    np.testing.assert_array_equal(joint.receive(x, "image"), x)
    with pytest.raises(ValueError, match="name a range"):
        joint.receive(x)


def test_stretches_of_a_grouped_quantizer_are_unit_vectors_where_their_distance_is_cosine():
    x = latents(1, 5, 3, 4)
    grouped = NESTED["grouped, cosine"]()
    expected = np.concatenate([unit(x[..., :2]), unit(x[..., 2:])], axis=-1)
    np.testing.assert_allclose(grouped.receive(x), expected, atol=1e-6)
    np.testing.assert_allclose(grouped.embed(x), expected, atol=1e-6)


@pytest.mark.parametrize(
    "kind", sorted(set(NESTED) - {"projected", "grouped, projected", "residual, cosine"})
)
def test_before_the_start_values_are_the_latents_as_they_are_received(kind):
    quantizer = NESTED[kind]()
    quantizer.start(False)
    x, name = latents(2, 5, 3, 4), list(quantizer.ranges)[-1] if quantizer.ranges else None
    np.testing.assert_allclose(quantizer(x, range=name).values, quantizer.receive(x, name), atol=1e-6)


@pytest.mark.parametrize("kind", NESTED)
def test_the_nearest_row_of_the_table_to_the_embedding_is_the_code(kind):
    quantizer = NESTED[kind]()
    name = a_range(quantizer)
    x = latents(3, 40, 4)
    table = np.asarray(quantizer.table(name), "float64")
    embedded = np.asarray(quantizer.embed(x, name), "float64")
    part = quantizer.part(name)
    groups = part.codes_per_token if isinstance(part, GroupedQuantizer) else 1
    assert embedded.shape == (40, groups * table.shape[1])
    codes = np.reshape(quantizer.nearest(x, name), (40, -1)) - quantizer.range_of(name)[0]
    if isinstance(part, GroupedQuantizer):
        sizes = [0] * groups if part.heads else [inner.num_codes for inner in part.parts]
        starts = np.cumsum([0, *sizes])[:groups]
        stretches = np.split(embedded, groups, axis=-1)
    else:  # of a residual, the first level is looked up first
        starts, stretches, codes = [0], [embedded], codes[:, :1]
    for place, (start, stretch) in enumerate(zip(starts, stretches, strict=True)):
        size = len(table) if groups == 1 or part.heads else part.parts[place].num_codes
        size = size // part.codes_per_token if isinstance(part, Residual) else size
        rows = table[start : start + size]
        distances = ((stretch[:, None] - rows) ** 2).sum(-1)
        found = codes[:, place] - start
        np.testing.assert_allclose(
            distances[np.arange(40), found], distances.min(axis=1), rtol=1e-5, atol=1e-6, err_msg=kind
        )


def test_paired_averages_mix_directions_in_a_joint_quantizer_too(tiny_config):
    """Private codes of another kind put the same shared table into a joint quantizer."""
    x, received = latents(4, 6, 8), {}
    for private in ("nearest", "lfq"):
        tree = tiny_config.model_dump(mode="json")
        tree["model"]["quantizer"].update(shared_update="ema", distance="cosine", private_kind=private)
        tree["loss"].update(paired_ema=0.5, swapped=0)
        model = build_model(type(tiny_config).model_validate(tree))
        assert isinstance(model.quantizer, JointQuantizer) == (private == "lfq")
        received[private] = model.quantizer.receive(x, "shared")
    for private, found in received.items():
        np.testing.assert_allclose(found, unit(x), atol=1e-6, err_msg=private)
