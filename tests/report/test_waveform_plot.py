"""Spectrogram above waveform."""

import base64
import io

import numpy as np
from PIL import Image

from vqmm.report.waveform_plot import HEIGHT, INK, ZOOM, sound_picture_uri, waveform


def inked(drawn):
    return (drawn == np.array(INK)).all(axis=-1)


def test_a_column_goes_from_its_least_to_its_greatest_sample():
    sound = np.zeros(40)
    sound[5], sound[25], sound[26] = 0.5, -0.25, 0.25  # columns of ten samples
    found = inked(waveform(sound, 4))
    middle = (HEIGHT - 1) / 2
    assert found[0, 0] and found[: int(middle) + 1, 0].all() and not found[int(middle) + 2 :, 0].any()
    assert found[:, 1].sum() == found[:, 3].sum() == 1  # silence is a line
    spread = np.flatnonzero(found[:, 2])
    np.testing.assert_allclose(
        (spread.min(), spread.max()), (middle - middle / 2, middle + middle / 2), atol=0.5
    )


def test_silence_and_few_samples_are_drawn_too():
    assert inked(waveform(np.zeros(9), 3)).sum() == 3
    assert inked(waveform(np.ones(2), 6)).any(axis=0).all()


def test_both_are_as_wide():
    uri = sound_picture_uri(np.random.default_rng(0).normal(size=(20, 8, 1)), np.sin(np.arange(999.0)))
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as picture:
        assert picture.size == (20 * ZOOM, 8 * ZOOM + HEIGHT)
