"""The fingerprint of a model follows what decides its codes, and nothing else."""

import time

import keras
import numpy as np
import pytest

from vqmm.config import Config
from vqmm.encoding import codebook_fingerprint
from vqmm.models import build_model
from vqmm.models.dtype_policy import dtype_policy

KINDS = {
    "nearest": {},
    "fsq": {"kind": "fsq", "shared_levels": [2, 2], "private_kind": "fsq", "private_levels": [4, 2]},
    "lfq": {"kind": "lfq", "private_kind": "lfq"},
    "bsq": {"kind": "bsq", "private_kind": "bsq"},
    "sim": {"kind": "sim", "private_kind": "sim"},
    "residual": {"private_residual": 2, "distance": "euclidean", "lookup_dim": 4},
    "heads": {"heads": 2, "distance": "euclidean"},
}
every = pytest.mark.parametrize("kind", KINDS)


def made(config, kind, seed=0, **model):
    tree = config.model_dump(mode="json")
    tree["model"]["quantizer"].update(KINDS[kind], fine=0)
    tree["model"].update(model)
    return build_model(Config.model_validate({**tree, "seed": seed}))


def moved(weight):
    weight.assign(weight.numpy() + 1e-3)


@every
def test_models_of_other_seeds_differ_and_one_that_is_loaded_is_the_same(kind, tiny_config, tmp_path):
    model = made(tiny_config, kind)
    mark = codebook_fingerprint(model)
    assert len(mark) == 16 and int(mark, 16) >= 0
    assert codebook_fingerprint(made(tiny_config, kind, seed=1)) != mark
    assert codebook_fingerprint(made(tiny_config, kind)) == mark
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert codebook_fingerprint(loaded) == mark


def deciding(model, kind):
    """A weight of every part that has a say in codes."""
    statistics = [w for w in model.encoders["image"].weights if w.name == "moving_mean"]
    found = {
        "trunk": model.encoders["audio"].trunk.weights[0],
        "shared head": model.encoders["image"].shared_head.trainable_weights[-1],
        "private head": model.encoders["audio"].private_head.kernel,
        "moving average of batch normalisation": statistics[0],
    }
    for name in ("shared", "image"):
        part = model.quantizer.part(name)
        if hasattr(part, "project_in"):
            found[f"projection of {name}"] = part.project_in.kernel
    for place, layer in enumerate(model.quantizer._flatten_layers()):
        for name in ("codebook", "map"):
            if hasattr(layer, name):
                found[f"{name} of layer {place}"] = getattr(layer, name)
    return found


@every
def test_every_weight_that_decides_codes_changes_it(kind, tiny_config):
    model = made(tiny_config, kind)
    marks = [codebook_fingerprint(model)]
    for name, weight in deciding(model, kind).items():
        moved(weight)
        marks.append(codebook_fingerprint(model))
        assert marks[-1] not in marks[:-1], name


@every
def test_what_decides_no_code_does_not(kind, tiny_config):
    model = made(tiny_config, kind)
    mark = codebook_fingerprint(model)
    free = [*model.decoders["audio"].weights, *model.decoders["image"].weights]
    for layer in model.quantizer._flatten_layers():
        free += [getattr(layer, name) for name in ("counts", "sums", "ages") if hasattr(layer, name)]
        free += layer.project_out.weights if hasattr(layer, "project_out") else []
    for weight in free:
        moved(weight)
    model.step.assign(7)
    model.quantizer.start()
    assert codebook_fingerprint(model) == mark


def test_settings_that_have_no_weights_change_it(tiny_config):
    marks = {
        codebook_fingerprint(made(tiny_config, "fsq")),
        codebook_fingerprint(made(tiny_config, "lfq")),
        codebook_fingerprint(
            made(tiny_config, "fsq", log_mel={"n_fft": 64, "hop_length": 32, "mels": 16, "fmin": 50})
        ),
    }
    with dtype_policy("mixed_bfloat16"):
        marks.add(codebook_fingerprint(made(tiny_config, "fsq")))
    assert len(marks) == 4
    other = made(tiny_config, "fsq", dropout=0.5)
    assert codebook_fingerprint(other) == codebook_fingerprint(made(tiny_config, "fsq"))


def test_it_costs_a_fraction_of_a_second(tiny_config):
    model = made(tiny_config, "nearest", filters=[64, 128])
    count = sum(int(np.prod(w.shape)) for encoder in model.encoders.values() for w in encoder.weights)
    assert count > 1_000_000
    began = time.process_time()
    codebook_fingerprint(model)
    assert time.process_time() - began < 0.5
