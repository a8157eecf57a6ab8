"""Every kind of quantizer as the joint quantizer of a VQ-VAE, from a config."""

from pathlib import Path

import keras
import numpy as np
import pytest
from test_vqvae import batch, config

from vqmm.config import load_config
from vqmm.errors import UserError
from vqmm.models import build_model
from vqmm.models.build_quantizer import build_quantizer
from vqmm.quantizers import JointQuantizer, ProjectedQuantizer, ResidualQuantizer, VectorQuantizer
from vqmm.training.codebook_start import start_codebook

BASE = {"dim": 8, "shared": 8, "image": 8, "audio": 8}
KINDS = {
    "one table": {},
    "rotation": {"estimator": "rotation"},
    "factorised": {"lookup_dim": 3},
    "sim": {"kind": "sim", "private_kind": "sim"},
    "fsq": {"kind": "fsq", "shared_levels": [4, 2], "private_kind": "fsq", "private_levels": [2, 2, 2]},
    "lfq": {"kind": "lfq", "private_kind": "lfq"},
    "bsq": {"kind": "bsq", "private_kind": "bsq"},
    "heads": {"heads": 2, "distance": "euclidean"},
    "residual": {"private_residual": 2, "distance": "euclidean"},
    "factorised residual": {"lookup_dim": 3, "private_residual": 2, "distance": "euclidean"},
    "mixed": {"kind": "fsq", "shared_levels": [4, 2], "private_residual": 2, "distance": "euclidean"},
}


def made(**spec):
    model = dict(config().model_dump(mode="json")["model"], quantizer={**BASE, **spec})
    return config(model=model, schedule={"quantize_from": 1})


@pytest.mark.parametrize("kind", KINDS)
def test_trains_saves_and_decodes(kind, tmp_path):
    model = build_model(made(**KINDS[kind]))
    assert isinstance(
        model.quantizer, VectorQuantizer if kind in ("one table", "rotation") else JointQuantizer
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    items = batch(16)
    start_codebook(model, [{**items, "id": items["audio_mask"]}], seed=0)
    before = [w.numpy() for w in model.quantizer.weights]
    logs = [model.train_step(items) for _ in range(2)]
    assert all(np.isfinite(float(value)) for log in logs for value in log.values())
    assert ("entropy" in logs[0]) == (kind in ("lfq", "bsq"))
    if kind != "fsq":
        assert any((w.numpy() != old).any() for w, old in zip(model.quantizer.weights, before, strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for modality in ("audio", "image"):
        codes = model.encode(**{modality: items[modality]})
        again = loaded.encode(**{modality: items[modality]})
        np.testing.assert_array_equal(codes.shared, again.shared)
        np.testing.assert_array_equal(codes.private, again.private)
        start, stop = model.quantizer.ranges["shared"]
        assert start <= np.min(codes.shared) and np.max(codes.shared) < stop
        np.testing.assert_array_equal(loaded.decode(codes, modality), model.decode(codes, modality))


CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_that_comes_along_loads_and_has_its_codes(path):
    loaded = load_config(path)
    ranges = build_quantizer(loaded).ranges
    spec = loaded.model.quantizer
    wanted = {"shared": spec.shared, "image": spec.image, "audio": spec.audio}
    assert {name: stop - start for name, (start, stop) in ranges.items()} == {
        k: v for k, v in wanted.items() if v
    }
    assert loaded.name == path.stem


REFUSED = {
    "model.quantizer.shared_levels=[] multiply to 1, and shared has 8 codes": {"kind": "fsq"},
    "take a power of 2, as 8": {"kind": "lfq", "shared": 9},
    "take a Euclidean codebook": {"private_residual": 2},
    "both must divide": {"heads": 3},
    "cannot make room": {"lookup_dim": 16},
    "rotation": {**KINDS["fsq"], "estimator": "rotation"},
    "look nothing up": {"lookup_dim": 2, **KINDS["fsq"]},
    "shared_levels=[4, 2] is for fsq": {"shared_levels": [4, 2]},
    "private_levels=[4, 2] is for fsq": {"private_kind": "lfq", "private_levels": [4, 2]},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_settings_that_cannot_work_are_refused_with_the_remedy(reason):
    with pytest.raises(UserError) as refused:
        build_model(made(**REFUSED[reason]))
    assert reason in str(refused.value)


@pytest.mark.parametrize("spec", [{}, {"kind": "bsq", "shared_update": "ema"}])
def test_paired_averages_need_codes_that_follow_averages(spec):
    base = made(**spec).model_dump(mode="json")
    with pytest.raises(UserError, match="set them to nearest and ema"):
        build_model(config(model=base["model"], loss={"paired_ema": 0.5}))


def test_residual_levels_look_up_in_one_projection_that_learns():
    model = build_model(made(**KINDS["factorised residual"]))
    part = model.quantizer.part("image")
    assert isinstance(part, ProjectedQuantizer) and isinstance(part.inner, ResidualQuantizer)
    assert part.inner.dim == 3
    model.quantizer.start()
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    kernels = [part.project_in.kernel, part.project_out.kernel]
    before = [kernel.numpy() for kernel in kernels]
    model.train_step(batch(16))
    assert all((kernel.numpy() != old).any() for kernel, old in zip(kernels, before, strict=True))
