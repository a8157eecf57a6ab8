import keras
import pytest
import tensorflow as tf

from vqmm.config import Train
from vqmm.training.precision import policy_name, precision


def test_sets_the_policy_and_sets_it_back():
    before = keras.config.dtype_policy().name
    with precision(Train(mixed_precision=True)) as name:
        assert keras.config.dtype_policy().name == name == policy_name(True) != "float32"
    assert keras.config.dtype_policy().name == before
    with precision(Train()) as name:
        assert name == "float32"


@pytest.mark.parametrize("card, chosen", [((7, 5), "mixed_float16"), ((8, 0), "mixed_bfloat16")])
def test_the_card_decides_unless_a_format_is_named(card, chosen, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["card"])
    details = {"compute_capability": card}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    assert policy_name(True) == chosen
    for named in ("bfloat16", "float16"):
        with precision(Train(mixed_precision=named)) as name:
            assert keras.config.dtype_policy().name == name == policy_name(named) == f"mixed_{named}"
    assert policy_name(False) == "float32"
