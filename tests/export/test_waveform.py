import numpy as np
import pytest
import tensorflow as tf

from vqmm.audio import LogMel, log_mel_to_audio
from vqmm.export.waveform import inverter


@pytest.fixture(scope="module")
def layer():
    return LogMel(sample_rate=8000, n_fft=256, hop_length=80, mels=32, fmin=60)


def sounds():
    time = np.arange(4000) / 8000
    glide = 0.4 * np.sin(2 * np.pi * (200 * time + 900 * time**2)) * np.hanning(4000)
    noise = 0.1 * np.random.default_rng(0).standard_normal(4000) * np.hanning(4000)
    return np.stack([glide, noise]).astype(np.float32)


def test_it_sounds_as_well_as_numpys(layer):
    wanted = np.asarray(layer(sounds()))
    found = tf.function(inverter(layer))(tf.constant(wanted)).numpy()
    assert found.shape == (2, 4000) and np.isfinite(found).all() and np.abs(found).max() <= 1
    slow = [log_mel_to_audio(item, 8000, 256, 80, fmin=60) for item in wanted]
    error, peer = (np.abs(np.asarray(layer(np.stack(x))) - wanted).mean() for x in (found, slow))
    silence = np.abs(np.asarray(layer(np.zeros_like(found))) - wanted).mean()
    assert error < 1.15 * peer < 0.1 * silence


def test_each_item_on_its_own_and_always_the_same(layer):
    wanted = layer(sounds())
    invert = tf.function(inverter(layer))
    np.testing.assert_allclose(invert(wanted)[1:], invert(wanted[1:]), atol=1e-5)


def test_a_wild_spectrogram_stays_finite(layer):
    found = inverter(layer)(tf.fill((1, 50, 32, 1), 60.0))
    assert np.isfinite(found).all()
