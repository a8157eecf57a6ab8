import numpy as np
import pytest
import tensorflow as tf
from codec_of import codec_of

from vqmm.encoding import encode_batches
from vqmm.errors import UserError
from vqmm.value_ranges import check_values, out_of_range

# What people send, and whether it can be meant.
MEANT = [
    ("image", [0.0, 1.0]),
    ("image", [-0.005, 1.005]),  # a resampled picture overshoots
    ("audio", [-1.0, 1.0]),
    ("audio", [-1.41, 1.41]),  # a float recording that peaks 3 dB above full scale
    ("image", []),
]
NOT_MEANT = [
    ("image", [0.0, 255.0], "divide bytes by 255"),
    ("image", [-1.0, 1.0], "0 to 1"),
    ("image", [0.5, np.nan], "NaN or infinite"),
    ("audio", [0.0, 32767.0], "divide 16-bit samples by 32768"),
    ("audio", [-300.0, 0.0], "received values of -300 to 0"),
    ("audio", [1e30, 0.0], "1e+30"),
    ("audio", [-np.inf, 0.0], "NaN or infinite"),
]


@pytest.mark.parametrize("modality, values", MEANT)
def test_values_that_can_be_meant_are_taken(modality, values):
    assert out_of_range(modality, np.array(values, np.float32)) is None


@pytest.mark.parametrize("modality, values, told", NOT_MEANT)
def test_values_that_cannot_be_meant_are_refused_with_what_came_and_how_to_mend_it(modality, values, told):
    with pytest.raises(UserError, match=told.replace("+", r"\+")):
        check_values(modality, np.array(values, np.float32))


@pytest.mark.parametrize("modality, scale", [("image", 255.0), ("audio", 32768.0)])
def test_the_model_and_the_encoding_of_batches_refuse_them(tiny_config, tiny_data, modality, scale):
    codec = codec_of(tiny_config, tiny_data)
    items = codec.items[modality][:2] * np.float32(scale)
    for call in (codec.model.encode, codec.model.embed):
        for given in (items, tf.constant(items)):
            with pytest.raises(UserError, match="received values of"):
                call(**{modality: given})
    batch = {modality: items, "id": np.array(["a", "b"], object)}
    with pytest.raises(UserError, match="received values of"):
        encode_batches(codec.model, [batch], modality)
