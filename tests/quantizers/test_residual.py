import numpy as np
from family import nearest

from vqmm.quantizers import Assignment, ResidualQuantizer


def latents(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def made(dropout=0.0):
    return ResidualQuantizer([nearest(seed=level, size=8) for level in range(4)], dropout=dropout, seed=2)


def centres(tokens, size):
    return tokens[np.random.default_rng(len(tokens)).permutation(len(tokens))[:size]]


def test_each_level_codes_what_the_others_left():
    quantizer, x = made(), latents(0, 2, 30, 4)
    quantizer.fit(x.reshape(-1, 4), None, centres)
    codes = np.array(quantizer(x).codes)
    rest = x.astype("float64")
    errors = [np.square(rest).mean()]
    for level, part in enumerate(quantizer.parts):
        table = np.array(part.table(), "float64")
        chosen = np.square(rest[..., None, :] - table).sum(-1).argmin(-1)
        np.testing.assert_array_equal(codes[..., level] - 8 * level, chosen)
        rest = rest - table[chosen]
        errors.append(np.square(rest).mean())
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.6 * errors[0]
    np.testing.assert_allclose(quantizer(x).values, x - rest, atol=1e-5)


def test_dropout_keeps_the_first_levels_in_training_alone():
    quantizer, x = made(dropout=1.0), latents(1, 3, 5, 4)
    assert (np.array(quantizer(x).codes) >= 0).all()
    kept = []
    for _ in range(60):
        out = quantizer(x, training=True)
        here = np.array(out.codes) >= 0
        count = int(here[0, 0].sum())
        assert (here == (np.arange(4) < count)).all()
        kept.append(count)
        np.testing.assert_allclose(out.values, quantizer.codes_to_values(out.codes), atol=1e-6)
    assert set(kept) == {1, 2, 3, 4}
    assert np.bincount(kept, minlength=5)[1:].min() >= 5  # drawn evenly: about 15 of each


def test_levels_that_were_dropped_do_not_learn():
    quantizer, x = made(), latents(2, 3, 5, 4)
    codes = np.array(quantizer(x).codes)
    codes[..., 2:] = -1
    before = [(part.counts.numpy(), part.codebook.numpy()) for part in quantizer.parts]
    quantizer.update([Assignment(x, codes, None)])
    for level, (part, (counts, table)) in enumerate(zip(quantizer.parts, before, strict=True)):
        if level < 2:
            hits = np.bincount(codes[..., level].ravel() - 8 * level, minlength=8)
            np.testing.assert_allclose(part.counts, 0.99 * counts + 0.01 * hits, atol=1e-5)
        else:
            np.testing.assert_array_equal(part.counts, counts)
            np.testing.assert_array_equal(part.codebook, table)
