import pytest

from vqmm.serving.read_json import read_json
from vqmm.serving.refused import Refused


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_of_every_coding_is_read(coding):
    assert read_json('{"é": [1, {"b64": "x"}]}'.encode(coding)) == {"é": [1, {"b64": "x"}]}


@pytest.mark.parametrize("body", [b'{"k": 1, "k": 2}', b'{"rows": [{"a": 1, "k": 3, "k": 3}]}'])
def test_a_key_that_stands_twice_is_refused(body):
    with pytest.raises(Refused, match="names 'k' twice") as refusal:
        read_json(body)
    assert refusal.value.status == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff\xfe\xfd", b"1" * 5000])
def test_what_is_no_json_is_refused(body):
    with pytest.raises(Refused, match="not JSON") as refusal:
        read_json(body)
    assert refusal.value.status == 400


def test_line_breaks_inside_a_string_are_told_how_to_be_written():
    with pytest.raises(Refused, match=r"write line breaks inside a string as \\n, or base64 without any"):
        read_json(b'{"b64": "aGFs\nbG8="}')
