"""A model computes in the same number formats before it is saved and after it is loaded."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_vqvae import batch, config

from vqmm.config import check_config
from vqmm.models import Prior, build_model, build_vocoder
from vqmm.models.dtype_policy import dtype_policy
from vqmm.models.token_layout import layout_of

MIXED = ("mixed_bfloat16", "mixed_float16")


def layers(model):
    """Kind and policy of every layer, in the order of the model's own list."""
    return [(type(layer).__name__, layer.dtype_policy.name) for layer in model._flatten_layers()]


def saved_and_loaded(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras", compile=False)


def the_model(kind, policy):
    tree = config().model_dump(mode="json")
    tree["model"]["kind"] = kind
    if kind == "vqgan":
        tree["model"].update(filters=[4], discriminator={"filters": [8, 8], "audio_scales": 1})
        tree["loss"]["adversarial"] = {"weight": 0.1}
    with dtype_policy(policy):
        return build_model(check_config(tree))


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize("kind", ["vqvae", "vqgan", "vae"])
def test_layers_keep_their_policy_and_results_are_the_same(kind, policy, tmp_path):
    model, items = the_model(kind, policy), batch()
    assert ("Conv2D", policy) in layers(model)
    loaded = saved_and_loaded(model, tmp_path)
    assert layers(loaded) == layers(model)
    assert keras.config.dtype_policy().name == "float32"
    np.testing.assert_array_equal(loaded.embed(audio=items["audio"]), model.embed(audio=items["audio"]))
    if kind != "vae":
        for one, other in zip(
            loaded.encode(image=items["image"]), model.encode(image=items["image"]), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_a_float32_model_stays_one_where_the_process_has_another_policy(tmp_path):
    model = the_model("vqvae", "float32")
    model.save(tmp_path / "model.keras")
    with dtype_policy("mixed_bfloat16"):
        loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert layers(loaded) == layers(model)


def test_a_prior_keeps_its_policy(tmp_path):
    layout = layout_of(the_model("vqvae", "float32"))
    with dtype_policy("mixed_bfloat16"):
        model = Prior(layout.to_config(), dim=8, depth=1, heads=2)
    loaded = saved_and_loaded(model, tmp_path)
    assert layers(loaded) == layers(model) and ("Dense", "mixed_bfloat16") in layers(model)
    tokens = tf.zeros((2, layout.length), "int32")
    for name, logits in model(tokens).items():
        np.testing.assert_array_equal(loaded(tokens)[name], logits)


def test_a_vocoder_keeps_its_policy(tmp_path):
    tree = config().model_dump(mode="json")
    tree["vocoder"] = {"n_fft": 64}
    tree["model"]["discriminator"] = {"filters": [8, 8]}
    with dtype_policy("mixed_bfloat16"):
        model = build_vocoder(check_config(tree))
    assert {policy for _, policy in layers(model)} >= {"mixed_bfloat16"}
    assert layers(saved_and_loaded(model, tmp_path)) == layers(model)
