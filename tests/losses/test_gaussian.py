"""Terms of the evidence lower bound against SciPy's integrals."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, stats

from vqmm.losses import gaussian_kl, kl_loss


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.5, 0.4), (-0.3, -2.0)])
def test_kl_is_the_integral(mean, log_variance):
    posterior, prior = stats.norm(mean, np.exp(0.5 * log_variance)), stats.norm()
    wanted, _ = integrate.quad(
        lambda z: posterior.pdf(z) * (posterior.logpdf(z) - prior.logpdf(z)), -12, 12, limit=200
    )
    assert float(gaussian_kl(tf.constant(mean), tf.constant(log_variance))) == pytest.approx(wanted, abs=1e-5)


def test_items_sum_over_latents_and_missing_ones_count_nothing():
    rng = np.random.default_rng(0)
    mean, logs = rng.normal(size=(3, 2, 4)).astype("float32"), rng.normal(size=(3, 2, 4)).astype("float32")
    each = 0.5 * (mean**2 + np.exp(logs) - 1 - logs)
    found = kl_loss(mean, logs, tf.constant([True, True, False]))
    assert float(found) == pytest.approx(each[:2].sum((1, 2)).mean(), rel=1e-5)
    over_batch = each[:2].mean(0)
    bits = kl_loss(mean, logs, tf.constant([True, True, False]), free_bits=0.7)
    assert float(bits) == pytest.approx(np.maximum(over_batch, 0.7).sum(), rel=1e-5)


@pytest.mark.parametrize("free_bits", [0.0, 0.7])
def test_two_replicas_have_the_divergence_of_their_joint_batch(two_replicas, free_bits):
    rng = np.random.default_rng(1)
    whole = [rng.normal(size=(4, 2, 4)).astype("float32") for _ in range(2)]
    whole.append(np.array([True, True, True, False]))
    halves = two_replicas.experimental_distribute_values_from_function(
        lambda context: tuple(tf.constant(x[2 * context.replica_id_in_sync_group :][:2]) for x in whole)
    )
    double = tf.function(lambda x: two_replicas.run(kl_loss, (*x, free_bits)), autograph=False)
    found = two_replicas.reduce("mean", double(halves), axis=None)
    assert float(found) == pytest.approx(float(kl_loss(*whole, free_bits)), rel=1e-5)
