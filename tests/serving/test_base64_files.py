import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqmm.serving.base64_files import read_base64
from vqmm.serving.refused import Refused


@given(st.binary(max_size=200), st.integers(1, 80), st.sampled_from(["\n", "\r\n", " ", "\t"]), st.booleans())
def test_line_breaks_and_missing_padding_are_read_as_tensorflow_serving_does(data, width, gap, padded):
    text = base64.b64encode(data).decode()
    text = text if padded else text.rstrip("=")
    lines = gap.join(text[start : start + width] for start in range(0, len(text), width))
    assert read_base64({"b64": lines + gap}, "x") == data


@pytest.mark.parametrize(
    "value, told",
    [
        ({"b64": base64.urlsafe_b64encode(b"\xfb\xff\xbe" * 4).decode()}, "web-safe base64; write \\+ for -"),
        ({"b64": "data:image/png;base64,aGFsbG8="}, "data URL; leave out all up to its comma"),
        ("aGFsbG8=", "is a string; send {'b64'"),
        ({"b64": "aGFsbG8=", "more": 1}, "is no file"),
        ({"b64": 7}, "is no file"),
        ([{"b64": ""}], "is no file"),
        (None, "is no file"),
        ({"b64": "aGFsbG8=="}, "wrong padding"),
        ({"b64": "aGFs*G8="}, "is not base64"),
        ({"b64": "aGFsb"}, "is not base64"),
        ({"b64": "äöü="}, "is not base64"),
    ],
)
def test_other_forms_are_named(value, told):
    with pytest.raises(Refused, match=told) as refusal:
        read_base64(value, "row 3")
    assert refusal.value.status == 400 and refusal.value.reason.startswith("row 3 ")
