import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.export.runners import saved_model_runners


def test_what_the_graph_refuses_is_told_in_plain_words(codec, exported):
    runner = saved_model_runners(exported)
    with pytest.raises(UserError) as refusal:
        runner("encode_image")({"image": 255 * codec.items["image"][:1]})
    assert "divide bytes by 255" in str(refusal.value)
    with pytest.raises(UserError) as other:
        absent = np.full((1, 64), -1, np.int32)
        runner("decode_image")({"shared": np.full((1, 2), 99, np.int32), "private": absent})
    assert "codes lie between 0 and 3; received [99 99]" in str(other.value)
    for said in (str(refusal.value), str(other.value)):
        assert not any(
            part in said
            for part in ("{{", "node", "[Op:", "stack trace", "Graph execution", "assertion failed")
        )
