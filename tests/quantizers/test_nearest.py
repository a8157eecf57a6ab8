"""The joint quantizer against numpy."""

import keras
import numpy as np
import pytest

from vqmm.quantizers import Assignment, VectorQuantizer


def latents(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_finds_the_nearest_code_of_the_range(distance):
    quantizer = VectorQuantizer({"shared": 5, "image": 7, "audio": 6}, 4, distance=distance)
    x = latents(0, 3, 9, 4)
    table = quantizer.codebook.numpy()[5:12]
    if distance == "cosine":
        x, table = unit(x), unit(table)
    expected = 5 + np.square(x[..., None, :] - table).sum(-1).argmin(-1)
    out = quantizer(x, range="image")
    np.testing.assert_array_equal(out.codes, expected)
    np.testing.assert_allclose(out.values, quantizer.codes_to_values(expected), atol=1e-5)
    mse = np.square(x - table[expected - 5]).mean()
    assert float(out.commitment_loss) == pytest.approx(0.25 * mse, rel=1e-5)


def test_absent_items_add_nothing_to_the_losses():
    quantizer = VectorQuantizer({"shared": 5}, 4, distance="euclidean", update="gradient")
    x = latents(1, 4, 3, 4)
    present = np.array([True, False, True, False])
    out = quantizer(x, range="shared", present=present)
    alone = quantizer(x[present], range="shared")
    assert float(out.commitment_loss) == pytest.approx(float(alone.commitment_loss), rel=1e-5)
    assert float(out.codebook_loss) == pytest.approx(float(alone.codebook_loss), rel=1e-5)


def test_gradients_pass_straight_through():
    import tensorflow as tf

    quantizer = VectorQuantizer({"shared": 5}, 4, distance="euclidean")
    x = tf.constant(latents(2, 2, 3, 4))
    weight = latents(3, 2, 3, 4)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(quantizer(x, range="shared").values * weight)
    np.testing.assert_allclose(tape.gradient(loss, x), weight, atol=1e-6)


def test_moving_average_follows_numpy_and_order_does_not_matter():
    def made():
        return VectorQuantizer(
            {"shared": 4, "image": 3}, 2, distance="euclidean", decay=0.9, revive_below=0.0, seed=3
        )

    forward, backward = made(), made()
    counts, sums = np.ones(7), np.asarray(forward.codebook, "float64")
    for step in range(5):
        audio, image, own = (latents(10 * step + k, 6, 5, 2) for k in range(3))
        mask = np.arange(6) != step
        codes = [np.array(forward.nearest(x, "shared")) for x in (audio, image)]
        private = np.array(forward.nearest(own, "image"))
        given = [
            Assignment(audio, codes[0], mask),
            Assignment(image, codes[1], np.ones(6, bool)),
            Assignment(own, private, np.ones(6, bool)),
        ]
        forward.update(given)
        backward.update(given[::-1])
        n, s = np.zeros(7), np.zeros((7, 2))
        for x, c, m, _ in given:
            for item in np.flatnonzero(m):
                np.add.at(n, c[item], 1)
                np.add.at(s, c[item], x[item])
        counts, sums = 0.9 * counts + 0.1 * n, 0.9 * sums + 0.1 * s
    np.testing.assert_allclose(forward.counts, counts, rtol=1e-4)
    np.testing.assert_allclose(forward.codebook, sums / counts[:, None], atol=1e-4)
    np.testing.assert_allclose(forward.codebook, backward.codebook, atol=1e-6)


def test_a_range_without_tokens_stays_as_it_is():
    """Step by step in numpy, smoothing included: only ranges with tokens take part."""
    quantizer = VectorQuantizer(
        {"shared": 4, "image": 3}, 2, "euclidean", decay=0.5, epsilon=0.1, revive_below=0.0, seed=5
    )
    table, counts = np.asarray(quantizer.codebook, "float64"), np.ones(7)
    sums = table.copy()
    for step in range(12):
        x = latents(step, 4, 6, 2)
        # Images are missing as a whole, masked as a whole, or there; once in a while.
        present = {"shared": np.arange(4) != step % 4, "image": np.full(4, step % 4 == 3)}
        parts = {name: np.array(quantizer.nearest(x, name)) for name in present}
        names = ["shared"] if step % 4 == 0 else ["image", "shared"]
        quantizer.update([Assignment(x, parts[name], present[name], name) for name in names])
        for name, (start, stop) in quantizer.ranges.items():
            rows, tokens = parts[name][present[name]].ravel(), x[present[name]].reshape(-1, 2)
            if len(rows):
                hits = np.bincount(rows, minlength=7)[start:stop]
                of_code = np.stack([tokens[rows == code].sum(0) for code in range(start, stop)])
                counts[start:stop] = 0.5 * counts[start:stop] + 0.5 * hits
                sums[start:stop] = 0.5 * sums[start:stop] + 0.5 * of_code
                total = counts[start:stop].sum()
                smooth = (counts[start:stop] + 0.1) / (total + 0.1 * (stop - start)) * total
                table[start:stop] = sums[start:stop] / smooth[:, None]
        for held, expected in (
            (quantizer.counts, counts),
            (quantizer.sums, sums),
            (quantizer.codebook, table),
        ):
            np.testing.assert_allclose(held, expected, rtol=1e-4, atol=1e-5, err_msg=f"step {step}")


def test_gradient_ranges_are_left_to_the_optimizer():
    quantizer = VectorQuantizer({"shared": 4, "image": 3}, 2, update={"shared": "gradient", "image": "ema"})
    before = quantizer.codebook.numpy()
    x = latents(4, 5, 6, 2)
    quantizer.update([Assignment(x, quantizer.nearest(x, r), np.ones(5, bool)) for r in ("shared", "image")])
    after = quantizer.codebook.numpy()
    np.testing.assert_array_equal(after[:4], before[:4])
    assert (after[4:] != before[4:]).any()


def test_unused_codes_are_placed_on_latents_and_stay_used():
    quantizer = VectorQuantizer({"shared": 16}, 2, distance="euclidean", decay=0.5, revive_after=3)
    # One code sits on the data, the others far away: without revival they never win.
    quantizer.place("shared", np.concatenate([np.zeros((1, 2)), 1e3 + latents(5, 15, 2)]))
    for step in range(40):
        x = latents(100 + step, 8, 32, 2)
        quantizer.update([Assignment(x, quantizer.nearest(x, "shared"), np.ones(8, bool))])
    used = np.unique(quantizer.nearest(latents(6, 8, 64, 2), "shared"))
    assert len(used) >= 14
    assert np.abs(quantizer.codebook.numpy()).max() < 10


def test_revival_follows_numpy(monkeypatch):
    """Old codes with few hits go to tokens that the draws name, with the counts of an even spread."""
    quantizer = VectorQuantizer(
        {"shared": 6}, 2, "euclidean", decay=0.5, epsilon=0.0, revive_below=0.5, revive_after=2, seed=1
    )
    quantizer.place("shared", np.concatenate([latents(11, 2, 2), 40 + latents(12, 4, 2)]))
    table, counts, ages, revived = np.asarray(quantizer.codebook, "float64"), np.ones(6), np.zeros(6), 0
    sums = table.copy()
    for step in range(8):
        draws = np.random.default_rng(step).uniform(size=(2, 6)).astype("float32")
        monkeypatch.setattr(keras.random, "uniform", lambda *args, draws=draws, **settings: draws)
        x = latents(40 + step, 4, 6, 2)
        codes = np.array(quantizer.nearest(x)).ravel()
        quantizer.update([Assignment(x, codes.reshape(4, 6), None)])
        tokens = x.reshape(-1, 2)
        counts = 0.5 * counts + 0.5 * np.bincount(codes, minlength=6)
        sums = 0.5 * sums + 0.5 * np.stack([tokens[codes == code].sum(0) for code in range(6)])
        table = sums / np.maximum(counts, 1e-12)[:, None]
        dead = (counts < 0.5 * counts.mean()) & (ages >= 2)
        ages, even = ages + 1, counts.mean()
        for code in np.flatnonzero(dead):
            table[code] = tokens[int(draws[1, code] * len(tokens))]
            counts[code], ages[code] = even, 0
            sums[code] = even * table[code]
        revived += dead.sum()
        for held, expected in zip(
            (quantizer.counts, quantizer.sums, quantizer.codebook, quantizer.ages),
            (counts, sums, table, ages),
            strict=True,
        ):
            np.testing.assert_allclose(held, expected, rtol=1e-4, atol=1e-4, err_msg=f"step {step}")
    assert revived > 3


def test_latents_pass_unchanged_before_the_start():
    quantizer = VectorQuantizer({"shared": 4}, 2, distance="euclidean")
    quantizer.start(False)
    x = latents(7, 2, 3, 2)
    out = quantizer(x, range="shared")
    np.testing.assert_allclose(out.values, x, atol=1e-6)
    assert float(out.commitment_loss) == 0.0


def test_serialises():
    quantizer = VectorQuantizer({"shared": 4, "image": 3}, 2, update={"shared": "gradient", "image": "ema"})
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(quantizer))
    assert twin.get_config() == quantizer.get_config()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"distance": "manhattan"}, "cosine, euclidean"),
        ({"update": "sgd"}, "ema, gradient"),
        ({"update": {"shared": "ema"}}, "shared, image"),
        ({"decay": 1.0}, "between 0 and 1"),
        ({"ranges": {}}, "at least one code"),
    ],
)
def test_refuses_what_cannot_work(change, words):
    with pytest.raises(ValueError, match=words):
        VectorQuantizer(**{"ranges": {"shared": 4, "image": 3}, "dim": 2, **change})


def test_names_the_nearest_range():
    with pytest.raises(ValueError, match="did you mean 'shared'"):
        VectorQuantizer({"shared": 4}, 2)(latents(8, 1, 1, 2), range="shraed")
