import numpy as np
import pytest
from test_vqvae import batch, config

from vqmm.audio import LogMel
from vqmm.config import Config
from vqmm.models import build_model, remade
from vqmm.quantizers import FineCodes


def arrays(weights):
    return [weight.numpy() for weight in weights]


@pytest.mark.parametrize("kind", ["vqvae", "vqgan", "vae"])
def test_another_part_and_all_other_weights_carried_over(kind):
    tree = config().model_dump()
    tree["model"] |= {"kind": kind, "discriminator": {"filters": (8, 8), "audio_scales": 1}}
    model, items = build_model(Config.model_validate(tree)), batch()
    for number, weight in enumerate(model.weights):  # no two alike, none as it is made
        weight.assign(weight + np.full(weight.shape, 0.001 * number).astype(str(weight.dtype)))
    layer = model.features["audio"]
    slow = LogMel.from_config({**layer.get_config(), "fourier": "matmul"})
    before = arrays(model.weights)
    found = remade(model, features={**model.features, "audio": slow})
    assert type(found) is type(model) and found.features["audio"].fourier == "matmul"
    for one, other in zip(arrays(found.weights), before, strict=True):
        np.testing.assert_array_equal(one, other)
    both = (np.array(one.embed(audio=items["audio"])) for one in (model, found))
    np.testing.assert_allclose(*both, atol=1e-4)
    for weight in found.weights:
        weight.assign(np.zeros(weight.shape))
    for one, other in zip(arrays(model.weights), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_part_that_there_was_not_and_one_of_another_size():
    model, items = build_model(config()), batch()
    shared = model.encode(image=items["image"]).shared
    dim = model.embed(image=items["image"]).shape[-1]
    fine = FineCodes(shared.shape[1], 5, dim)
    fine.tables.assign(np.random.default_rng(0).normal(size=fine.tables.shape))
    found = remade(model, fine=fine)
    np.testing.assert_array_equal(found.fine.tables.numpy(), fine.tables.numpy())
    np.testing.assert_array_equal(found.encode(image=items["image"]).shared, shared)
    coarser = FineCodes(shared.shape[1], 2, dim)
    coarser.tables.assign(np.ones(coarser.tables.shape))
    again = remade(found, fine=coarser)
    assert again.fine.codes == 2 and again.fine.tables.numpy().all() and found.fine.codes == 5
