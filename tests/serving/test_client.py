import io

import httpx
import numpy as np
import pytest
from PIL import Image

from vqmm.serving.client import Client, ServiceError


@pytest.fixture
def client(served):
    with Client("http://vqmm", http=served.http) as client:
        yield client


def test_encode_decode_search(client, served):
    path = served.files / "test1.png"
    found = client.encode(path, "image")
    again = client.encode(path.read_bytes(), "image")
    codes = served.codec.model.encode(image=served.codec.items["image"][1:2])
    np.testing.assert_array_equal(found.shared, codes.shared[0])
    np.testing.assert_array_equal(again.private, codes.private[0])
    assert found.version == 1 and found.fingerprint == served.service.pair.model.fingerprint
    picture = Image.open(io.BytesIO(client.decode(found.shared, "image", found.private)))
    assert picture.size == (16, 16)
    assert client.decode(found.shared, "audio").startswith(b"RIFF")
    hits = client.search(path, "image", k=3, find="image")
    better = [sum(other.score > hit.score + 1e-5 for other in hits) for hit in hits]
    assert [hit.rank for hit in hits] == [1 + count for count in better] and len(hits) == 3
    assert {hit.modality for hit in hits} == {"image"} and hits[0].split == "test"
    options = {"query": "codes", "rerank": 8, "probes": 1, "where": {"label": ["1", "3"], "split": "test"}}
    hits = client.search(path, "image", find="any", **options)
    assert {hit.label for hit in hits} == {"1", "3"} and len(hits) == 8
    with pytest.raises(ValueError, match="where 'label' names no value"):
        client.search(path, "image", where={"label": []})


def test_predict(client, served):
    items = served.codec.items["audio"][:3]
    found = client.predict("encode_audio", {"audio": items})
    np.testing.assert_array_equal(found["shared"], served.codec.model.encode(audio=items).shared)
    assert client.predict("embed_audio", {"audio": items})["output"].shape == (3, 2, 8)
    files = [(served.files / f"test{n}.wav").read_bytes() for n in range(2)]
    found = client.predict("encode_audio_bytes", {"audio_bytes": files})
    assert found["shared"].shape == (2, 2)


def test_refusals_are_errors_with_the_reason(client):
    with pytest.raises(ServiceError, match="422: the picture cannot be|422: the picture is none"):
        client.encode(b"x", "image")
    with pytest.raises(ServiceError, match="400: signature_name"):
        client.predict("encode", {"audio": [0]})


def test_it_waits_when_told_to_and_sends_its_token(monkeypatch):
    asked, slept = [], []
    monkeypatch.setattr("time.sleep", slept.append)

    def answer(request):
        asked.append(request.headers["authorization"])
        if len(asked) < 3:
            return httpx.Response(429, headers={"Retry-After": "2"}, json={"error": "full"})
        return httpx.Response(200, content=b"png")

    http = httpx.Client(transport=httpx.MockTransport(answer))
    assert Client("http://x/", "s3cret", http=http).decode([1], "image") == b"png"
    assert asked == ["Bearer s3cret"] * 3 and slept == [2.0, 2.0]
    asked.clear()
    with pytest.raises(ServiceError, match="429: full"):
        Client("http://x", "s3cret", retries=1, http=http).decode([1], "image")


def answering(monkeypatch, *answers):
    """A client that gets these answers in turn, and the seconds that it waits between them."""
    slept, left = [], list(answers)
    monkeypatch.setattr("time.sleep", slept.append)

    def answer(request):
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    http = httpx.Client(transport=httpx.MockTransport(answer))
    return Client("http://x", retries=2, timeout=10, http=http), slept


def test_it_tries_again_while_the_service_cannot_be_reached_or_stops(monkeypatch):
    stopping = httpx.Response(503, headers={"Retry-After": "1"}, json={"error": "the service is stopping"})
    good = httpx.Response(200, content=b"png")
    client, slept = answering(monkeypatch, httpx.ConnectError("refused"), stopping, good)
    assert client.decode([1], "image") == b"png" and slept == [0.2, 1.0]
    client, slept = answering(monkeypatch, *[httpx.ConnectError("refused")] * 3)
    with pytest.raises(ServiceError, match="503: http://x cannot be reached: refused"):
        client.decode([1], "image")
    client, slept = answering(monkeypatch, httpx.ReadTimeout("slow"))
    with pytest.raises(ServiceError, match="504: no answer from http://x within 10 s"):
        client.decode([1], "image")
    assert slept == []


@pytest.mark.parametrize("stated, waits", [("3600", []), ("Wed, 21 Oct 2026 07:28:00 GMT", [0.2])])
def test_it_waits_no_longer_than_its_time(monkeypatch, stated, waits):
    full = httpx.Response(429, headers={"Retry-After": stated}, json={"error": "full"})
    client, slept = answering(monkeypatch, full, httpx.Response(200, content=b"png"))
    if waits:
        assert client.decode([1], "image") == b"png"
    else:
        with pytest.raises(ServiceError, match="429: full"):
            client.decode([1], "image")
    assert slept == waits


@pytest.mark.parametrize(
    "inputs, told",
    [
        ({"image_bytes": b"one file"}, "image_bytes takes files: a list of bytes"),
        ({"image_bytes": [b"a", "b"]}, "image_bytes takes files: a list of bytes"),
        ({"image": [[1], [1, 2]]}, "image is no array"),
        ({"image": ["a"]}, "image takes numbers"),
        ({"image": [[[[True]]]]}, "image takes numbers"),
    ],
)
def test_inputs_that_cannot_be_sent_are_told_as_by_the_other_client(client, inputs, told):
    with pytest.raises(ServiceError, match=told) as refusal:
        client.predict("encode_image", inputs)
    assert refusal.value.status == 400


def test_values_that_cannot_be_meant_are_refused(client, served):
    with pytest.raises(ServiceError, match="400: pictures have values of 0 to 1"):
        client.predict("encode_image", {"image": 255 * served.codec.items["image"][:1]})
