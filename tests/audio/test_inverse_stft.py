"""The inverse of a short-time spectrum against SciPy."""

import keras
import numpy as np
import pytest
import scipy.signal

from vqmm.audio import InverseSTFT


def spectrum(n_fft, frames, seed=0):
    """Any numbers, not the spectrum of a sound: a frame is then changed by its neighbours."""
    shape = (2, frames, n_fft // 2 + 1)
    return np.random.default_rng(seed).standard_normal((2, *shape)).astype("float32")


@pytest.mark.parametrize(("n_fft", "hop", "frames"), [(64, 16, 12), (320, 80, 7), (60, 30, 5), (48, 8, 3)])
def test_it_is_that_of_scipy(n_fft, hop, frames):
    real, imaginary = spectrum(n_fft, frames)
    both = np.swapaxes(real + 1j * imaginary, 1, 2) / (n_fft / 2)  # SciPy scales by the window's sum
    _, wanted = scipy.signal.istft(both, nperseg=n_fft, noverlap=n_fft - hop, boundary=True)
    found = np.asarray(InverseSTFT(n_fft, hop)(real, imaginary))
    assert found.shape == (2, frames * hop) and wanted.shape == (2, (frames - 1) * hop)
    np.testing.assert_allclose(found[:, : wanted.shape[1]], wanted, atol=2e-5 * np.abs(wanted).max())


def test_it_undoes_a_centred_transform_up_to_the_edges():
    sound = np.random.default_rng(2).standard_normal((3, 400)).astype("float32")
    _, _, both = scipy.signal.stft(sound, nperseg=80, noverlap=60, padded=False)
    both = 40 * np.swapaxes(both, 1, 2)[:, :-1]
    found = np.asarray(InverseSTFT(80, 20)(both.real.astype("float32"), both.imag.astype("float32")))
    np.testing.assert_allclose(found, sound, atol=1e-4)


@pytest.mark.parametrize(("n_fft", "hop"), [(64, 24), (64, 64), (63, 21), (64, 0)])
def test_windows_that_do_not_overlap_evenly_are_refused(n_fft, hop):
    with pytest.raises(ValueError, match=f"n_fft={n_fft}, hop_length={hop}"):
        InverseSTFT(n_fft, hop)


def test_it_stays_in_single_precision_and_comes_back_from_its_config():
    layer = InverseSTFT.from_config(InverseSTFT(64, 16, name="inverse").get_config())
    assert (layer.n_fft, layer.hop_length, layer.compute_dtype) == (64, 16, "float32")
    assert layer.compute_output_shape((None, 5, 33)) == (None, 80)
    assert keras.saving.get_registered_name(InverseSTFT) == "vqmm>InverseSTFT"
