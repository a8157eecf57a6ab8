import librosa
import numpy as np
import pytest

from vqmm.metrics import multiscale_mel_distance

RATE = 8000
CLIPS = (0.3 * np.random.default_rng(0).normal(size=(2, 4096))).astype("float32")


@pytest.mark.filterwarnings("ignore:Empty filters")
def test_against_librosa_scale_by_scale():
    other = CLIPS[::-1] * 0.5
    expected = np.zeros(2)
    for window, mels in zip([32, 64, 128, 256, 512, 1024, 2048], [5, 10, 20, 40, 80, 160, 320], strict=True):
        a, b = (
            librosa.feature.melspectrogram(
                y=x, sr=RATE, n_fft=window, hop_length=window // 4, n_mels=mels, power=1.0
            )
            for x in (CLIPS, other)
        )
        expected += np.abs(np.log10(np.maximum(a, 1e-5)) - np.log10(np.maximum(b, 1e-5))).mean((1, 2))
    np.testing.assert_allclose(multiscale_mel_distance(CLIPS, other, RATE), expected, rtol=1e-4)


def test_a_gain_costs_its_logarithm_at_every_scale():
    sevenfold = multiscale_mel_distance(CLIPS, 0.1 * CLIPS, 16_000)
    assert np.all(sevenfold < 7.0) and np.all(sevenfold > 6.0)  # empty bands cost nothing
    np.testing.assert_array_equal(multiscale_mel_distance(CLIPS, CLIPS, RATE), 0.0)


def test_short_clips_leave_out_long_windows():
    short = CLIPS[:, :300]
    gain = multiscale_mel_distance(short, 0.1 * short, 44_100)
    assert np.all(gain <= 4.0001) and np.all(gain > 3.0)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="4096"):
        multiscale_mel_distance(CLIPS, CLIPS[:1], RATE)
