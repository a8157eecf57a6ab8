import keras
import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.training.finite import check_terms, check_variables


def test_names_the_terms_and_the_first_step():
    values = np.ones((5, 3))
    check_terms(["loss", "swapped", "contrastive"], values, 101, None)
    values[2, :2] = np.nan
    values[3, 2] = np.inf
    with pytest.raises(UserError) as told:
        check_terms(["loss", "swapped", "contrastive"], values, 101, "runs/a/ckpt-80")
    said = str(told.value)
    assert "swapped = nan at step 103" in said
    assert "loss = nan" not in said and "contrastive" not in said
    assert "runs/a/ckpt-80" in said and "train.learning_rate" in said


def test_names_the_loss_itself_where_no_term_is_bad():
    with pytest.raises(UserError, match="loss = inf at step 1"):
        check_terms(["loss", "swapped"], np.array([[np.inf, 1.0]]), 1, None)


def test_names_the_variable():
    fine = keras.Variable([1.0, 2.0], name="fine")
    whole = keras.Variable(3, dtype="int64", name="whole")
    check_variables([fine, whole], 7, None)
    bad = keras.Variable([1.0, float("inf")], name="bad")
    with pytest.raises(UserError, match="variable bad is not finite after step 7"):
        check_variables([fine, whole, bad], 7, None)
