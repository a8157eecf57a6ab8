import base64
import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from vqmm.report.media import PEAK, picture_uri, sound_uri


def body(uri, kind):
    head, _, text = uri.partition(",")
    assert head == f"data:{kind};base64"
    return io.BytesIO(base64.b64decode(text))


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_keep_their_pixels(channels):
    picture = np.random.default_rng(0).random((5, 7, channels)).astype("float32")
    found = np.asarray(Image.open(body(picture_uri(picture), "image/png")), "float32").reshape(5, 7, channels)
    np.testing.assert_allclose(found / 255, picture, atol=0.5 / 255 + 1e-6)


def test_sound_is_brought_to_one_peak():
    sound = 0.1 * np.sin(np.arange(400) / 5).astype("float32")
    found, rate = soundfile.read(body(sound_uri(sound, 8000), "audio/wav"))
    assert rate == 8000
    np.testing.assert_allclose(found, sound * PEAK / np.abs(sound).max(), atol=1e-4)


def test_silence_stays_silent():
    found, _ = soundfile.read(body(sound_uri(np.full(10, 1e-9, "float32"), 8000), "audio/wav"))
    assert not found.any()
