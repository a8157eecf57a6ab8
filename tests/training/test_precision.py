import keras

from vqmm.config import Train
from vqmm.training.precision import policy_name, precision


def test_sets_the_policy_and_sets_it_back():
    before = keras.config.dtype_policy().name
    with precision(Train(mixed_precision=True)) as name:
        assert keras.config.dtype_policy().name == name == policy_name(True) != "float32"
    assert keras.config.dtype_policy().name == before
    with precision(Train()) as name:
        assert name == "float32"
