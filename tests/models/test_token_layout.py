"""Which code stands where in an item's sequence."""

import keras
import numpy as np
import pytest

from vqmm.config import Config
from vqmm.models import HIDDEN, Prior, Settings, TokenLayout, build_model, layout_of
from vqmm.models.generator import Generator
from vqmm.models.token_layout import joined


def with_model(config, **model):
    tree = config.model_dump()
    for key, value in model.items():
        tree["model"][key] = {**tree["model"][key], **value} if isinstance(value, dict) else value
    return build_model(Config.model_validate(tree))


def test_shared_codes_come_first_then_each_modality(tiny_config):
    model = build_model(tiny_config)
    layout = layout_of(model)
    rows, columns = model.encoders["audio"].grid_shape
    assert [tuple(s)[:4] for s in layout.sections] == [
        ("shared", 2, 0, 4),
        ("image", 64, 4, 12),
        ("audio", rows * columns, 12, 20),
    ]
    assert layout.codes == 20 and layout.length == 2 + 64 + rows * columns
    assert layout.slices(("shared", "audio"))["audio"] == slice(2, 2 + rows * columns)
    np.testing.assert_array_equal(layout.places(("shared", "audio"))[:4], [0, 1, 66, 67])
    assert TokenLayout.from_config(layout.to_config()) == layout


def test_codes_of_real_items_lie_where_the_layout_says(tiny_config):
    quantizer = {"private_kind": "nearest", "private_residual": 2, "heads": 2, "distance": "euclidean"}
    model = with_model(tiny_config, quantizer=quantizer)
    layout = layout_of(model)
    assert [s.levels for s in layout.sections] == [
        2,
        2,
        2,
    ]  # two heads, two residual levels
    codes = model.encode(image=np.random.default_rng(0).random((3, 16, 16, 1)).astype("float32"))
    tokens = joined({"shared": codes.shared, "image": codes.private}, layout, 3)
    choices = np.concatenate([np.full(s.length, s.choices) for s in layout.sections])
    inside = tokens - layout.offsets()
    known = tokens != HIDDEN
    assert known.sum() == 3 * (layout.sections[0].length + layout.sections[1].length)
    assert ((inside >= 0) & (inside < choices))[known].all()
    again = layout.codes_of(tokens, "image")
    np.testing.assert_array_equal(again.private, codes.private)


def test_a_grid_of_shared_codes_makes_no_common_sequence(tiny_config):
    with pytest.raises(ValueError, match="model.layout=slots"):
        layout_of(with_model(tiny_config, layout="grid"))


PROJECTED = {
    "nearest": {"lookup_dim": 3, "private_residual": 2, "distance": "euclidean"},
    "sim": {"private_kind": "sim", "lookup_dim": 3, "private_residual": 2},
}


@pytest.mark.parametrize("kind", PROJECTED)
def test_levels_inside_a_projection_are_levels(tiny_config, kind):
    layout = layout_of(with_model(tiny_config, quantizer=PROJECTED[kind]))
    assert [(s.levels, s.choices) for s in layout.sections[1:]] == [(2, 4), (2, 4)]


@pytest.mark.parametrize("kind", ["masked", "autoregressive"])
def test_a_prior_over_projected_residual_codes_is_trained_and_sampled_from(tiny_config, kind):
    model = with_model(tiny_config, quantizer=PROJECTED["nearest"])
    layout = layout_of(model)
    prior = Prior(layout.to_config(), dim=8, depth=1, heads=2, kind=kind)
    prior.compile(optimizer=keras.optimizers.Adam(1e-2))
    codes = model.encode(image=np.random.default_rng(0).random((2, 16, 16, 1)).astype("float32"))
    tokens = joined({"shared": codes.shared, "image": codes.private}, layout, 2)
    known = tokens != HIDDEN
    batch = {
        "tokens": np.where(known, tokens, 0),
        "hidden": known,
        "present": np.array([[True, True, False]] * 2),
        "alone": known[:, : layout.sections[0].length],
        "label": np.full(2, -1, "int32"),
    }
    first, *_, last = [float(prior.train_step(batch)["loss"]) for _ in range(8)]
    assert last < first
    drawn = Generator(prior, model, Settings(steps=2)).unconditional(2)
    choices = np.concatenate([np.full(s.length, s.choices) for s in layout.sections])
    inside = drawn.tokens - layout.offsets()  # a level's code is one of that level
    assert ((inside >= 0) & (inside < choices)).all()
    picture = Generator(prior, model).decode(drawn, "image")
    assert picture.shape == (2, 16, 16, 1) and np.isfinite(picture).all()
