import asyncio
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqmm.serving.inflate import gunzip, inflated
from vqmm.serving.refused import Refused


@given(st.binary(max_size=3000), st.integers(0, 9))
def test_what_gzip_wrote_comes_back_up_to_the_limit(data, level):
    sent = gzip.compress(data, level, mtime=0)
    assert gunzip(sent, max(1, len(data))) == data
    if len(data) > 1:
        with pytest.raises(Refused) as refusal:
            gunzip(sent, len(data) - 1)
        assert refusal.value.status == 413 and f"{len(data) - 1} bytes" in refusal.value.reason


def test_a_bomb_costs_no_more_than_the_limit():
    sent = gzip.compress(bytes(50 * 2**20))
    assert len(sent) < 60_000
    with pytest.raises(Refused) as refusal:
        gunzip(sent, 1000)
    assert refusal.value.status == 413


@pytest.mark.parametrize(
    "sent, told",
    [
        (b'{"a": 1}', "not the gzip that Content-Encoding states"),
        (b"", "is cut"),
        (gzip.compress(b"abc" * 100, mtime=0)[:-9], "is cut"),
        (gzip.compress(b"abc", mtime=0) + b"more", "4 bytes follow"),
        (zlib.compress(b"abc"), "not the gzip"),
    ],
)
def test_what_is_no_whole_gzip_is_refused(sent, told):
    with pytest.raises(Refused, match=told) as refusal:
        gunzip(sent, 1000)
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    "coding, status",
    [(b"br", 415), (b"gzip, gzip", 415), (b"deflate", 415), (b"Identity", 0), (b"X-GZIP", 0)],
)
def test_other_codings_are_named(coding, status):
    plain = coding == b"Identity"
    body, scope = (
        b"abc" if plain else gzip.compress(b"abc", mtime=0),
        {"headers": [(b"content-encoding", coding)]},
    )
    if not status:
        assert asyncio.run(inflated(body, scope, 10)) == b"abc"
        return
    with pytest.raises(Refused, match="legal: gzip") as refusal:
        asyncio.run(inflated(body, scope, 10))
    assert refusal.value.status == status
