"""What a prior sees and what it is taught."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vqmm.models import Prior

LAYOUT = [["shared", 2, 0, 4], ["image", 4, 4, 10, 1, 2], ["audio", 6, 10, 16, 2, 3]]


def small(kind="masked", **kwargs):
    return Prior(LAYOUT, dim=8, depth=2, heads=2, dropout=0.0, kind=kind, fingerprint="f" * 16, **kwargs)


@pytest.fixture(scope="module")
def masked():
    return small(labels=("a", "b"))


@pytest.fixture(scope="module")
def causal():
    return small("autoregressive")


def tokens_of(prior, count=3, seed=0):
    rng = np.random.default_rng(seed)
    choices = np.concatenate([np.full(s.length, s.choices) for s in prior.tokens.sections])
    return (prior.tokens.offsets() + rng.integers(choices, size=(count, len(choices)))).astype("int32")


def test_each_section_chooses_from_its_own_codes(masked):
    scores = masked(tokens_of(masked))
    assert {name: found.shape for name, found in scores.items()} == {
        "shared": (3, 2, 4),
        "image": (3, 4, 6),
        "audio": (3, 6, 3),  # two levels of three codes
    }


def test_an_item_without_a_label_is_one_of_the_label_none(masked):
    tokens = tokens_of(masked)
    none, given = masked(tokens, np.full(3, -1)), masked(tokens, np.zeros(3, int))
    for name, found in masked(tokens).items():
        np.testing.assert_array_equal(found, none[name])
        assert np.abs(np.asarray(found) - given[name]).max() > 1e-4


@pytest.mark.parametrize("kind", ["masked", "autoregressive"])
@pytest.mark.parametrize("there", ["image", "audio"])
def test_absent_sections_are_seen_by_none(kind, there, request):
    prior = request.getfixturevalue("masked" if kind == "masked" else "causal")
    tokens, names = tokens_of(prior), ("shared", there)
    present = np.array([[True, there == "image", there == "audio"]] * 3)
    whole = prior(tokens, present=present)
    stays = np.isin(np.arange(12), prior.tokens.places(names))
    other = np.where(stays, tokens, tokens_of(prior, seed=1))
    alone = prior(tokens[:, stays], sections=names)
    for name in names:
        np.testing.assert_allclose(prior(other, present=present)[name], whole[name], atol=1e-6)
        np.testing.assert_allclose(alone[name], whole[name], atol=1e-5)  # left out is the same as absent
    if kind == "masked" or there == "audio":  # no token of the autoregressive prior sees those after it
        assert np.abs(np.asarray(prior(tokens)[there]) - whole[there]).max() > 1e-4


def test_a_token_of_the_autoregressive_prior_sees_those_before_it(causal):
    tokens = tokens_of(causal)
    changed = tokens.copy()
    changed[:, 4] = np.where(tokens[:, 4] == 4, 5, 4)
    before, after = causal(tokens), causal(changed)
    np.testing.assert_array_equal(before["shared"], after["shared"])
    np.testing.assert_allclose(before["image"][:, :3], after["image"][:, :3], atol=1e-6)
    assert np.abs(np.asarray(before["image"][:, 3]) - after["image"][:, 3]).max() > 1e-5


def test_the_last_shared_code_reaches_sound_without_a_picture(causal):
    tokens = tokens_of(causal)
    changed = tokens.copy()
    changed[:, 1] = (tokens[:, 1] + 1) % 4
    present = np.array([[True, False, True]] * 3)
    found = [np.asarray(causal(t, present=present)["audio"]) for t in (tokens, changed)]
    assert np.abs(found[0] - found[1]).max() > 1e-5
    changed[:, 2:6] = tokens_of(causal, seed=2)[:, 2:6]
    np.testing.assert_allclose(causal(changed, present=present)["audio"], found[1], atol=1e-6)


def batch_of(prior, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "tokens": tokens_of(prior),
        "hidden": rng.random((3, 12)) < 0.6,
        "present": np.array([[True, True, True], [True, False, True], [True, True, False]]),
        "alone": np.array([[True, False], [True, True], [False, True]]),
        "label": np.array([-1, 0, 1], "int32"),
    }


def test_the_loss_is_the_cross_entropy_of_what_is_hidden_and_present(masked):
    batch = batch_of(masked)
    found = masked.compute_losses(batch, training=False)
    known = np.where(batch["hidden"], -1, batch["tokens"])
    scores = masked(known, batch["label"], present=batch["present"])
    alone = masked(
        np.where(batch["alone"], -1, batch["tokens"][:, :2]), batch["label"], sections=("shared",)
    )["shared"]
    inside = batch["tokens"] - masked.tokens.offsets()
    total = 0.0
    for number, (name, part) in enumerate(masked.tokens.slices().items()):
        nats = []
        rows = [(scores[name], batch["hidden"][:, part] & batch["present"][:, number, None])]
        rows += [(alone, batch["alone"])] if name == "shared" else []
        for logits, asked in rows:
            logits = np.asarray(logits, "float64")
            logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            picked = np.take_along_axis(logs, inside[:, part][..., None], -1)[..., 0]
            nats.append(-picked[asked])
        mean = np.concatenate(nats).mean()
        assert float(found[f"nats_{name}"]) == pytest.approx(mean, rel=1e-5)
        total += mean / 3
    assert float(found["loss"]) == pytest.approx(total, rel=1e-5)


def test_smoothing_counts_in_training_alone(masked):
    smooth = small(label_smoothing=0.2, labels=("a", "b"))
    smooth.set_weights(masked.get_weights())
    batch = batch_of(masked)
    plain = float(masked.compute_losses(batch, training=False)["loss"])
    assert float(smooth.compute_losses(batch, training=False)["loss"]) == pytest.approx(plain)
    assert float(smooth.compute_losses(batch, training=True)["loss"]) != pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("kind", ["masked", "autoregressive"])
def test_it_learns_what_goes_together_and_survives_a_file(kind, tmp_path):
    prior = small(kind)
    batch = batch_of(prior)
    prior.compile(keras.optimizers.Adam(0.03))
    prior.optimizer.build(prior.trainable_variables)
    fixed = {name: tf.constant(part) for name, part in batch.items()}
    step = tf.function(prior.train_step, autograph=False)
    losses = [float(step(fixed)["loss"]) for _ in range(25)]
    assert losses[-1] < 0.5 * losses[0] and int(prior.step) == 25
    prior.save(tmp_path / "prior.keras")
    again = keras.saving.load_model(tmp_path / "prior.keras", compile=False, safe_mode=True)
    assert again.fingerprint == prior.fingerprint and again.tokens == prior.tokens
    assert float(again.compute_losses(batch, False)["loss"]) == pytest.approx(
        float(prior.compute_losses(batch, False)["loss"]), rel=1e-6
    )


def test_items_that_lost_their_shared_codes_teach_what_guidance_subtracts(causal):
    batch = batch_of(causal)
    batch["hidden"][:, :2] = [[True, True], [False, True], [False, False]]
    found = float(causal.compute_losses(batch, training=False)["nats_image"])
    batch["tokens"][0, :2] = (batch["tokens"][0, :2] + 1) % 4  # hidden: makes no difference
    assert float(causal.compute_losses(batch, training=False)["nats_image"]) == pytest.approx(found)
    batch["tokens"][2, :2] = (batch["tokens"][2, :2] + 1) % 4
    assert float(causal.compute_losses(batch, training=False)["nats_image"]) != pytest.approx(found, rel=1e-6)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind='diffusion'; legal: masked, autoregressive"):
        small("diffusion")
