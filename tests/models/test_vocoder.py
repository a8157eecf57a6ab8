"""A vocoder: its loss, its step, its file."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vqmm.audio import LogMel
from vqmm.losses import multiscale_mel_loss
from vqmm.models import Vocoder
from vqmm.networks import SoundDiscriminator, WaveDecoder
from vqmm.training.optimizer import make_optimizer

RATE, HOP, SAMPLES = 2000, 32, 1024


def small(critic=True, segment=0, **adversarial):
    return Vocoder(
        LogMel(RATE, 64, HOP, 16),
        WaveDecoder(HOP, 64, dim=16, depth=1, fine_dim=16, fine_depth=1),
        {"audio": SoundDiscriminator((64,), (8, 8))} if critic else {},
        adversarial={"weight": 0.5, "feature_matching": 1.0, **adversarial},
        windows=(32, 128),
        segment=segment,
        samples=SAMPLES,
    )


@pytest.fixture(scope="module")
def batch():
    time = np.arange(SAMPLES) / RATE
    tones = np.sin(2 * np.pi * np.array([[150.0], [330.0], [510.0], [690.0]]) * time)
    return {"audio": tf.constant(0.5 * tones, tf.float32), "audio_mask": tf.ones(4, tf.bool)}


@pytest.fixture(scope="module")
def taught(batch):
    model = small(discriminator_from=2, from_step=4, ramp=2)
    model.compile(keras.optimizers.Adam(3e-3), keras.optimizers.Adam(1e-3))
    step = tf.function(model.train_step, autograph=False)
    theirs = [v.numpy() for v in model.discriminator_variables]
    figures, moved = [], []
    for _ in range(30):
        figures.append({name: float(value) for name, value in step(batch).items()})
        both = zip(model.discriminator_variables, theirs, strict=True)
        moved.append(any((v.numpy() != old).any() for v, old in both))
    return model, figures, moved


def test_steps_lower_the_loss_and_critics_come_in_when_told(taught):
    _, figures, moved = taught
    assert figures[-1]["mel"] < 0.7 * figures[0]["mel"]
    assert moved[:3] == [False, False, True]
    weights = [found["adversarial_weight"] for found in figures[:6]]
    assert weights[:4] == [0, 0, 0, 0] and weights[4] > 0
    assert figures[0]["discriminator"] == 0 < figures[2]["discriminator"]
    assert all(np.isfinite(list(found.values())).all() for found in figures)


def test_the_loss_is_the_mean_distance_of_its_scales(batch):
    other = 0.5 * batch["audio"]
    scales = [LogMel(RATE, window, window // 4, 8, floor=1e-7) for window in (32, 128)]
    wanted = np.mean([np.abs(np.asarray(s(batch["audio"]) - s(other)))[:3].mean() for s in scales])
    mask = np.array([True, True, True, False])
    found = float(multiscale_mel_loss(batch["audio"], other, scales, mask))
    assert found == pytest.approx(wanted, rel=1e-5)


def test_the_push_is_as_long_as_the_pull_times_the_weight(batch):
    """The gradient at the weights is that of one plain loss, with the balance taken from both slopes."""
    model = small(from_step=0, ramp=0)
    model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    taken = {}
    model.optimizer.apply = lambda gradients, variables: taken.update(mine=gradients)
    figures = model.train_step(batch)
    given, original = model.log_mel(batch["audio"]), batch["audio"]
    with tf.GradientTape(persistent=True) as tape:
        made = model(given)
        near = model.compute_losses(original, made, batch["audio_mask"])["mel"]
        verdict = model.verdict("audio", original, made, batch["audio_mask"])
        far = verdict.generator + verdict.matching
    slopes = [np.asarray(tape.gradient(loss, made)) for loss in (near, far)]
    weight = 0.5 * np.linalg.norm(slopes[0]) / (np.linalg.norm(slopes[1]) + 1e-4)
    assert float(figures["adversarial_weight"]) == pytest.approx(weight, rel=1e-3)
    mine = model.generator_variables
    for found, a, b in zip(taken["mine"], tape.gradient(near, mine), tape.gradient(far, mine), strict=True):
        wanted = np.asarray(a) + weight * np.asarray(b)
        np.testing.assert_allclose(found, wanted, atol=1e-3 * np.abs(wanted).max() + 1e-7)


def test_two_replicas_take_the_step_of_one(batch, two_replicas):
    items = {**batch, "audio_mask": tf.constant([True, True, True, False])}  # one half lacks more

    def made():
        keras.utils.set_random_seed(0)
        model = small(discriminator_from=1, from_step=1, ramp=0)
        model.compile(keras.optimizers.SGD(0.05), keras.optimizers.SGD(0.05))
        return model

    alone = made()
    with two_replicas.scope():
        shared = made()
    halves = two_replicas.experimental_distribute_values_from_function(
        lambda context: {k: v[2 * context.replica_id_in_sync_group :][:2] for k, v in items.items()}
    )
    double = tf.function(lambda x: two_replicas.run(shared.train_step, args=(x,)), autograph=False)
    for _ in range(2):  # the second with a discriminator
        figures, found = alone.train_step(items), double(halves)
        for name, value in figures.items():
            mean = two_replicas.reduce("mean", found[name], axis=None)
            np.testing.assert_allclose(mean, value, rtol=1e-3, atol=1e-6, err_msg=name)
    assert figures["adversarial_weight"] > 0
    for one, other in zip(alone.variables, shared.variables, strict=True):
        if "seed" not in one.path:
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=one.path)


def test_a_step_may_look_at_a_stretch_and_at_what_a_tokenizer_rebuilt(batch):
    model = small(segment=8)
    given, original = model._cut(batch)
    assert given.shape == (4, 8, 16, 1) and original.shape == (4, 8 * HOP)
    spoken, original = np.asarray(batch["audio"]), np.asarray(original)
    starts = [
        s for s in range(0, SAMPLES - 8 * HOP + 1, HOP) if (spoken[:, s : s + 8 * HOP] == original).all()
    ]
    assert len(starts) == 1
    first = starts[0] // HOP
    np.testing.assert_array_equal(given, model.log_mel(batch["audio"])[:, first : first + 8])
    given, _ = model._cut({**batch, "log_mel": tf.zeros((4, 32, 16, 1))})
    assert not np.asarray(given).any()


def test_without_a_discriminator_the_spectrogram_alone_teaches(batch):
    model = small(critic=False)
    model.compile(keras.optimizers.Adam(3e-3))
    assert set(model.train_step(batch)) == {"loss", "mel"}


def test_it_loads_in_safe_mode_and_sounds_the_same(taught, batch, tmp_path):
    model = taught[0]
    model.save(tmp_path / "vocoder.keras")
    loaded = keras.saving.load_model(tmp_path / "vocoder.keras", compile=False, safe_mode=True)
    assert loaded.adversarial == model.adversarial and loaded.windows == (32, 128)
    log_mel = model.log_mel(batch["audio"])
    np.testing.assert_allclose(loaded(log_mel), model(log_mel), atol=1e-6)
    assert int(loaded.step) == 30


def test_averages_are_taken_at_the_end(taught):
    model = taught[0]
    copy = Vocoder.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    copy.take_averages()
    for average, variable in zip(model.averages, copy.averaged_variables(), strict=True):
        np.testing.assert_array_equal(average, variable)


def test_half_precision_learns_in_finite_steps(batch, tiny_config):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = small()
        model.compile(make_optimizer(tiny_config.train), make_optimizer(tiny_config.train))
        figures = [model.train_step(batch) for _ in range(2)]
        assert np.isfinite([float(v) for f in figures for v in f.values()]).all()
        assert model(model.log_mel(batch["audio"])).dtype == "float32"
        model.push_weight = lambda *_: float("nan")  # as where a gradient ran over: the scale skips the step
        skipped = model.train_step(batch)
        assert np.isfinite([float(v) for v in skipped.values()]).all()
    finally:
        keras.config.set_dtype_policy("float32")
