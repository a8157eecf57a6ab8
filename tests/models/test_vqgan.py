"""The joint-codebook VQGAN: two sides in one step."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_vqvae import batch
from test_vqvae import config as plain

from vqmm.config import Config
from vqmm.errors import UserError
from vqmm.models import VQGAN, build_model
from vqmm.models.build_perceiver import VGG_LAYERS
from vqmm.networks import Judgement
from vqmm.training.checkpoints import Checkpoints
from vqmm.training.optimizer import compile_model


def config(adversarial=None, schedule=None, **loss):
    tree = plain().model_dump()
    tree["model"] |= {"kind": "vqgan", "discriminator": {"filters": (8, 8), "audio_scales": 1}}
    tree["loss"] |= {"adversarial": adversarial or {}, **loss}
    tree["schedule"] |= {"adversarial_from": 0, "adversarial_ramp": 1, **(schedule or {})}
    return Config.model_validate(tree)


def compiled(*args, **kwargs) -> VQGAN:
    settings = config(*args, **kwargs)
    model = build_model(settings)
    compile_model(model, settings)
    return model


def values(variables):
    return [v.numpy() for v in variables]


def moved(before, after):
    return [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


def test_a_step_moves_both_sides_and_neither_holds_the_others_variables():
    model = compiled({"feature_matching": 1.0, "lecam": 0.1, "r1": 0.1})
    mine, theirs = model.generator_variables, model.discriminator_variables
    assert {id(v) for v in mine}.isdisjoint(id(v) for v in theirs)
    assert len(mine) + len(theirs) == len(model.trainable_variables)
    perceiver = values(model.perceiver.variables)
    before = values(theirs), values(model.decoders["image"].trainable_variables)
    figures = model.train_step(batch())
    assert all(moved(before[0], values(theirs)))
    assert any(moved(before[1], values(model.decoders["image"].trainable_variables)))
    assert not any(moved(perceiver, values(model.perceiver.variables)))
    wanted = {"discriminator", "perceptual_image", "multiresolution_audio"}
    for name in ("audio", "image"):
        wanted |= {f"{x}_{name}" for x in ("adversarial", "adversarial_weight", "discriminator_accuracy")}
    assert wanted <= set(figures) and all(np.isfinite(float(v)) for v in figures.values())


def test_the_gradient_is_that_of_the_sum_of_its_terms():
    """One backward pass through each discriminator gives what a plain tape over the whole loss gives."""
    model = compiled({"adaptive": False, "weight": 0.7, "feature_matching": 0.3, "average": 0.0})
    items = batch()
    taken = {}
    model.optimizer.apply = lambda gradients, variables: taken.update(mine=gradients)
    model.train_step(items)
    twin = compiled({"adaptive": False, "weight": 0.7, "feature_matching": 0.3, "average": 0.0})
    with tf.GradientTape() as tape:
        outputs = twin(items, training=True)
        loss = sum(twin.compute_losses(items, outputs).values())
        for name, out in outputs.items():
            verdict = twin._judge(name, out, items)
            loss = loss + 0.7 * verdict.generator + 0.3 * verdict.matching
    for found, wanted, variable in zip(
        taken["mine"],
        tape.gradient(loss, twin.generator_variables),
        twin.generator_variables,
        strict=True,
    ):
        wanted = np.zeros(variable.shape) if wanted is None else np.array(wanted)
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-3, err_msg=variable.path)


@pytest.mark.parametrize("pixels", ["categorical", "logistic"])
def test_pictures_may_be_distributions(pixels):
    tree = config().model_dump()
    tree["model"]["pixels"] = pixels
    settings = Config.model_validate(tree)
    model = build_model(settings)
    model.compile(keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-3))
    losses = [model.train_step(batch()) for _ in range(4)]
    assert "reconstruction_image" not in losses[0]
    assert 0.05 * 3 < float(losses[0]["likelihood_image"]) < 0.05 * 9  # log 256 is 5.5 nats
    assert float(losses[-1]["likelihood_image"]) < float(losses[0]["likelihood_image"])
    assert model.decode(model.encode(image=batch()["image"]), "image").shape == (8, 16, 16, 1)


def test_with_the_adaptive_weight_both_gradients_are_as_long_at_the_last_kernel():
    model = compiled({"weight": 0.5})
    figures = {name: float(value) for name, value in model.train_step(batch()).items()}
    for name in ("audio", "image"):
        wanted = 0.5 * figures[f"gradient_{name}"] / (figures[f"adversarial_gradient_{name}"] + 1e-4)
        assert figures[f"adversarial_weight_{name}"] == pytest.approx(wanted, rel=1e-4)


def test_lengths_are_those_of_ordinary_gradients_at_the_last_kernel():
    model, twin, items = compiled(), compiled(), batch()
    figures = model.train_step(items)
    with tf.GradientTape(persistent=True) as tape:
        outputs = twin(items, training=True)
        losses = {}
        for name, out in outputs.items():
            terms = twin.reconstruction_terms(name, out, items[f"{name}_mask"])
            losses[f"gradient_{name}"] = name, sum(terms.values())
            losses[f"adversarial_gradient_{name}"] = name, twin._judge(name, out, items).generator
    for figure, (name, loss) in losses.items():
        kernel = twin.decoders[name].last.kernel
        wanted = float(tf.norm(tape.gradient(loss, kernel.value)))
        assert wanted > 1e-4
        assert float(figures[figure]) == pytest.approx(wanted, rel=1e-4), figure


def test_the_schedule_lets_the_critic_learn_before_it_acts():
    model = compiled(schedule={"discriminator_from": 1, "adversarial_from": 2, "adversarial_ramp": 2})
    weights, changed = [], []
    for _ in range(4):
        before = values(model.discriminator_variables)
        figures = model.train_step(batch())
        changed.append(any(moved(before, values(model.discriminator_variables))))
        weights.append(float(figures["adversarial_weight_image"]))
    assert changed == [False, True, True, True]
    assert weights[0] == weights[1] == 0 and 0 < weights[2] < weights[3]


def test_a_critic_that_is_ahead_waits_and_one_that_guesses_is_not_acted_on():
    model = compiled()
    model.judged["audio"]["accuracy"].assign(0.99)
    model.judged["image"]["accuracy"].assign(0.3)
    before = {name: values(d.trainable_variables) for name, d in model.discriminators.items()}
    figures = model.train_step(batch())
    after = {name: values(d.trainable_variables) for name, d in model.discriminators.items()}
    assert not any(moved(before["audio"], after["audio"])) and any(moved(before["image"], after["image"]))
    assert float(figures["adversarial_weight_audio"]) > 0 == float(figures["adversarial_weight_image"])


def test_features_of_a_critic_that_guesses_are_not_matched():
    def taken(accuracy, feature_matching):
        model = compiled({"adaptive": False, "weight": 0.0, "feature_matching": feature_matching})
        for name in model.judged:
            model.judged[name]["accuracy"].assign(accuracy)
        found = {}
        model.optimizer.apply = lambda gradients, variables: found.update(mine=gradients)
        figures = model.train_step(batch())
        assert ("feature_matching_image" in figures) == ("feature_matching_audio" in figures)
        return values(found["mine"]), figures.get("feature_matching_image")

    plain, none = taken(0.75, 0.0)
    guessing, matched = taken(0.3, 2.0)
    trusted, again = taken(0.75, 2.0)
    assert none is None and float(matched) == float(again) > 0
    assert not any(moved(plain, guessing)) and any(moved(plain, trusted))


def test_a_modality_that_is_missing_teaches_its_critic_nothing():
    items = batch()
    items["audio_mask"] = tf.zeros(8, tf.bool)
    model = compiled()
    before = values(model.discriminators["audio"].trainable_variables)
    model.train_step(items)
    assert not any(moved(before, values(model.discriminators["audio"].trainable_variables)))


def test_what_is_known_of_a_critic_stays_while_its_modality_is_missing():
    items = batch()
    items["audio_mask"] = tf.zeros(8, tf.bool)
    model = compiled()
    model.train_step(batch())
    before = {name: values(model.judged[name].values()) for name in model.judged}
    model.train_step(items)
    assert not any(moved(before["audio"], values(model.judged["audio"].values())))
    assert any(moved(before["image"], values(model.judged["image"].values())))


def test_averages_stand_in_while_the_model_is_judged():
    model = compiled({"average": 0.5})
    for _ in range(2):
        model.train_step(batch())
    raw, averages = values(model.averaged_variables()), values(model.averages)
    with model.averages_in_place():
        assert not any(moved(averages, values(model.averaged_variables())))
    assert not any(moved(raw, values(model.averaged_variables()))) and any(moved(raw, averages))


def test_r1_of_a_plane_is_half_its_squared_slope():
    class Plane:
        norm, trainable_variables = "group", ()

        def __call__(self, items, training=None):
            return Judgement([tf.reshape(tf.reduce_sum(items * slope, (1, 2, 3)), (-1, 1, 1, 1))], [])

    slope = np.random.default_rng(0).normal(size=(4, 4, 1)).astype("float32")
    model = compiled()
    model.discriminators["image"] = Plane()
    mask = tf.constant([True, False, True])
    found = model._r1("image", tf.ones((3, 4, 4, 1)), mask)
    np.testing.assert_allclose(found, 0.5 * np.sum(slope**2), rtol=1e-6)


def test_averages_follow_the_decoders_and_are_taken_at_the_end():
    model = compiled({"average": 0.5})
    wanted = values(model.averaged_variables())
    for step in range(3):
        model.train_step(batch())
        decay = min(0.5, (1 + step) / (10 + step))
        wanted = [
            decay * a + (1 - decay) * v.numpy()
            for a, v in zip(wanted, model.averaged_variables(), strict=True)
        ]
    model.take_averages()
    for a, b in zip(wanted, model.averaged_variables(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_it_loads_in_safe_mode_with_its_critics(tmp_path):
    model = compiled()
    model.train_step(batch())
    model.save(tmp_path / "m.keras")
    twin = keras.models.load_model(tmp_path / "m.keras")
    items = batch(seed=1)
    for one, other in zip(model.encode(image=items["image"]), twin.encode(image=items["image"]), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(model.discriminator_variables, twin.discriminator_variables, strict=True):
        np.testing.assert_array_equal(one, other)
    assert twin.adversarial == model.adversarial


def test_a_checkpoint_holds_both_sides_and_both_optimizers(tmp_path):
    def opened():
        model = compiled()
        both = [model.optimizer, model.discriminator_optimizer]
        return model, Checkpoints(tmp_path / "last", tmp_path / "best", model, both, 1)

    model, checkpoints = opened()
    model.train_step(batch())
    checkpoints.save()
    twin, again = opened()
    assert again.restore() == 1
    for one, other in ((model, twin), (model.discriminator_optimizer, twin.discriminator_optimizer)):
        for a, b in zip(one.variables, other.variables, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


def test_two_replicas_take_the_step_of_one(two_replicas):
    tree = config({"feature_matching": 0.5}).model_dump()
    tree["model"]["filters"] = (4,)  # a graph over two replicas takes long to compile
    settings = Config.model_validate(tree)
    items = {name: value for name, value in batch(8).items() if name.startswith("image")}

    def of_pictures_alone():
        parts = build_model(settings).get_config()
        for part in ("features", "encoders", "decoders", "input_shapes", "discriminators"):
            parts[part] = {"image": parts[part]["image"]}
        model = VQGAN.from_config({**parts, "private_drop": 0.0})  # replicas draw apart
        compile_model(model, settings)
        return model

    with two_replicas.scope():
        two = of_pictures_alone()
    one = of_pictures_alone()
    source = tf.data.Dataset.from_tensors(items).unbatch().batch(8)
    data = two_replicas.experimental_distribute_dataset(source)
    tf.function(lambda x: two_replicas.run(two.train_step, (x,)), autograph=False)(next(iter(data)))
    one.train_step(items)
    for ours, theirs in zip(one.variables, two.variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=2e-4, err_msg=ours.path)


def in_half(*args, scale, **kwargs):
    """A model in float16, and its optimizers with their variables and with a loss scale."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = compiled(*args, **kwargs)
    finally:
        keras.config.set_dtype_policy("float32")
    sides = {
        half.optimizer: half.generator_variables,
        half.discriminator_optimizer: half.discriminator_variables,
    }
    for optimizer in sides:
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        optimizer.dynamic_scale.assign(scale)
    return half, sides


def test_half_precision_takes_the_same_step_with_a_loss_scale_for_each_side():
    whole = compiled({"feature_matching": 1.0})
    half, sides = in_half({"feature_matching": 1.0}, scale=256.0)  # at a larger one a gradient may run over
    before = [values(variables) for variables in sides.values()]
    wanted, found = whole.train_step(batch()), half.train_step(batch())
    for name, value in wanted.items():
        np.testing.assert_allclose(float(found[name]), float(value), rtol=0.02, atol=0.02, err_msg=name)
    for variables, old in zip(sides.values(), before, strict=True):
        assert any(moved(old, values(variables))) and all(np.isfinite(v).all() for v in values(variables))


def test_a_step_that_the_loss_scale_skips_has_finite_figures_and_the_right_losses():
    whole = compiled()
    half, sides = in_half(scale=2.0**40)
    before = [values(variables) for variables in sides.values()]
    wanted, found = whole.train_step(batch()), half.train_step(batch())
    for optimizer, old in zip(sides, before, strict=True):
        assert float(optimizer.dynamic_scale) == 2.0**39
        changed = zip(sides[optimizer], moved(old, values(sides[optimizer])), strict=True)
        assert {v.path for v, other in changed if other} <= {"quantizer/codebook"}  # which follows averages
    for name, value in wanted.items():
        if "gradient" in name or "weight" in name:
            assert np.isfinite(float(found[name])), name
        else:
            np.testing.assert_allclose(float(found[name]), float(value), rtol=0.02, atol=0.02, err_msg=name)


def test_lengths_of_gradients_do_not_run_over_in_half_precision():
    """The kernel's gradient sums over all cells of a batch: it is the first that half cannot hold."""
    whole = compiled(perceptual=0.0, adversarial={"weight": 0.0})
    half, _ = in_half(perceptual=0.0, adversarial={"weight": 0.0}, scale=2.0**22)
    wanted, found = whole.train_step(batch()), half.train_step(batch())
    for name in ("gradient_audio", "gradient_image"):
        np.testing.assert_allclose(float(found[name]), float(wanted[name]), rtol=0.01, err_msg=name)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_vgg16_is_the_perceiver_of_a_model_in_half_precision(policy, monkeypatch):
    def small(include_top, weights):
        keras.utils.set_random_seed(0)
        x = item = keras.Input((None, None, 3))
        for layer in VGG_LAYERS:
            x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name=layer)(x)
        return keras.Model(item, x)

    monkeypatch.setattr(keras.applications, "VGG16", small)
    wanted = compiled(features="vgg16").train_step(batch())
    keras.config.set_dtype_policy(policy)
    try:
        model = compiled(features="vgg16")
    finally:
        keras.config.set_dtype_policy("float32")
    found = model.train_step(batch())
    assert float(found["perceptual_image"]) == pytest.approx(float(wanted["perceptual_image"]), rel=0.02)


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(UserError, match="model.discriminator for audio: items of 32 x 16 at 3 scales"):
        tree = config().model_dump()
        tree["model"]["discriminator"]["audio_scales"] = 3
        build_model(Config.model_validate(tree))
