"""Shapes and settings of the networks that a vocoder is made of."""

import keras
import numpy as np
import pytest

from vqmm.networks import SoundDiscriminator, WaveDecoder
from vqmm.networks.convnext import ConvNeXtBlock
from vqmm.networks.sound_discriminator import lifted_spectrum


def small(**kwargs):
    return WaveDecoder(32, 64, dim=8, depth=1, fine_dim=8, fine_depth=1, **kwargs)


def test_every_frame_becomes_a_hop_of_samples_however_many_there_are():
    decoder = small(finer=2)
    for frames in (5, 9):
        assert decoder(np.zeros((2, frames, 16, 1), "float32")).shape == (2, 32 * frames)


def test_a_sound_depends_on_its_own_frames_alone():
    decoder = small()
    log_mel = np.random.default_rng(0).standard_normal((3, 40, 16, 1)).astype("float32")
    whole = np.asarray(decoder(log_mel))
    np.testing.assert_allclose(whole[1:2], np.asarray(decoder(log_mel[1:2])), atol=1e-5)
    changed = log_mel.copy()
    changed[:, 30:] += 1.0  # far from the beginning
    np.testing.assert_array_equal(np.asarray(decoder(changed))[:, : 20 * 32], whole[:, : 20 * 32])


def test_wild_input_stays_finite():
    assert np.isfinite(np.asarray(small()(np.full((1, 6, 16, 1), 1e4, "float32")))).all()


@pytest.mark.parametrize(("kwargs", "told"), [({"finer": 3}, "finer=3"), ({"finer": 1}, "n_fft=48")])
def test_frames_that_cannot_be_divided_are_refused(kwargs, told):
    with pytest.raises(ValueError, match=told):
        WaveDecoder(32, 48, **kwargs)


def test_a_block_follows_numpy():
    block = ConvNeXtBlock(widening=2, kernel=3, scale=0.5)
    x = np.random.default_rng(1).standard_normal((1, 4, 3)).astype("float32")
    found = np.asarray(block(x))
    kernel, bias = (np.asarray(v) for v in block.mix.weights)
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    y = sum(padded[:, place : place + 4] * kernel[place, :, 0] for place in range(3)) + bias
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-6)
    (wide, wide_bias), (narrow, narrow_bias) = (
        [np.asarray(v) for v in layer.weights] for layer in (block.widen, block.narrow)
    )
    y = np.asarray(keras.activations.gelu(y @ wide + wide_bias)) @ narrow + narrow_bias
    np.testing.assert_allclose(found, x + 0.5 * y, atol=1e-5)


def test_each_window_has_a_judge_of_its_own_that_sees_phase():
    judge = SoundDiscriminator((64, 128), (8, 8))
    sound = np.random.default_rng(2).standard_normal((2, 640)).astype("float32")
    said = judge(sound)
    assert len(said.logits) == 2 and len(said.features) == 4
    # Shifting a sound changes phases: what sees magnitudes alone would say nearly the same.
    turned = np.asarray(lifted_spectrum(-sound, 64))
    np.testing.assert_allclose(turned, -np.asarray(lifted_spectrum(sound, 64)), atol=1e-6)
    assert np.abs(np.asarray(judge(-sound).logits[0]) - np.asarray(said.logits[0])).max() > 1e-3
