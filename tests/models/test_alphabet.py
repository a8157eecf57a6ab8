import keras
import numpy as np
import pytest
from test_build_quantizer import KINDS, made
from test_vqvae import batch, config

from vqmm.models import Codes, build_model, counts_codes, without_idle_codes
from vqmm.quantizers import Assignment, VectorQuantizer


def test_idle_codes_go_and_nothing_else_changes():
    model, items = build_model(config()), batch()
    used = [0, 2, 3]
    counts = model.quantizer.counts.numpy()
    counts[:4] = [5.0, 0.0, 4.0, 3.0]
    model.quantizer.counts.assign(counts)
    small = without_idle_codes(model)
    assert small.quantizer.ranges == {"shared": (0, 3), "image": (3, 11), "audio": (11, 19)}
    np.testing.assert_array_equal(
        small.quantizer.table("shared"), np.array(model.quantizer.table("shared"))[used]
    )
    np.testing.assert_allclose(
        small.embed(audio=items["audio"]), model.embed(audio=items["audio"]), atol=1e-6
    )
    before, after = model.encode(image=items["image"]), small.encode(image=items["image"])
    np.testing.assert_array_equal(after.private, np.array(before.private) - 1)
    stayed = np.isin(before.shared, used)
    np.testing.assert_array_equal(
        np.array(after.shared)[stayed], np.searchsorted(used, before.shared)[stayed]
    )
    table = np.array(small.quantizer.table("shared"))
    nearest = (np.array(small.embed(image=items["image"])) @ table.T).argmax(-1)
    np.testing.assert_array_equal(after.shared, nearest)
    private = before._replace(shared=np.full_like(before.shared, 3))
    np.testing.assert_allclose(
        small.decode(after._replace(shared=np.full_like(after.shared, 2)), "image"),
        model.decode(private, "image"),
        atol=1e-5,
    )


def test_it_saves_and_loads(tmp_path):
    model, items = build_model(config()), batch()
    model.quantizer.counts.assign([1.0, 0.0, 1.0, 0.0] + [1.0] * 16)
    small = without_idle_codes(model)
    small.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.encode(image=items["image"]).shared, small.encode(image=items["image"]).shared
    )


@pytest.mark.parametrize(("kind", "counted"), [("residual", True), ("factorised", True), ("fsq", False)])
def test_idle_codes_go_from_a_table_among_other_kinds_too(kind, counted):
    model, items = build_model(made(**KINDS[kind])), batch()
    assert counts_codes(model) == counted
    assert without_idle_codes(model) is model  # none is idle yet, or none is counted
    if not counted:
        return
    part = model.quantizer.part("shared")
    table = getattr(part, "inner", part)
    table.counts.assign([2.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    model.quantizer.start()
    small = without_idle_codes(model)
    assert small.quantizer.range_of("shared") == (0, 3) and float(small.quantizer.started) == 1
    np.testing.assert_allclose(small.quantizer.table("shared"), np.array(table.table())[[0, 2, 4]], atol=1e-6)
    latents = np.array(small.embed(audio=items["audio"]))
    np.testing.assert_allclose(latents, model.embed(audio=items["audio"]), atol=1e-6)
    private = [np.array(m.encode(image=items["image"]).private) for m in (model, small)]
    np.testing.assert_array_equal(private[1], private[0] - 5)
    codes = small.encode(audio=items["audio"])
    chosen = np.array([0, 2, 4])[np.array(codes.shared)]
    np.testing.assert_allclose(
        small.decode(codes, "audio"), model.decode(Codes(chosen, codes.private + 5), "audio"), atol=1e-5
    )


def test_codes_that_gradients_move_are_counted_too():
    quantizer = VectorQuantizer({"shared": 4}, 2, update="gradient", decay=0.5)
    x = np.tile(np.array(quantizer.table())[[1]], (3, 8, 1))
    for _ in range(12):
        quantizer.update([Assignment(x, quantizer.nearest(x), None)])
    np.testing.assert_array_equal(quantizer.live("shared", 0.05), [False, True, False, False])
