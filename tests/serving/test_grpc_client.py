"""The gRPC client over a real channel, and against the REST client's answers."""

import socket
import time

import numpy as np
import pytest
from prediction_server import PredictionServer, listening

from vqmm.serving.client import Client, ServiceError
from vqmm.serving.grpc_client import GrpcClient


@pytest.fixture(scope="module")
def server(served):
    return PredictionServer(served.export / "saved_model" / "1", served.service.pair.model._loaded)


@pytest.fixture(scope="module")
def address(server):
    with listening(server) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    with GrpcClient(address) as client:
        yield client


def test_answers_are_those_of_rest(client, served):
    rest = Client("http://vqmm", http=served.http)
    for modality, end in (("audio", "wav"), ("image", "png")):
        items = served.codec.items[modality][:3]
        # As float64: the client sends the type that the signature takes.
        found = client.predict(f"encode_{modality}", {modality: items.astype(np.float64)})
        other = rest.predict(f"encode_{modality}", {modality: items})
        for name in ("shared", "private"):
            np.testing.assert_array_equal(found[name], other[name])
            assert found[name].dtype == np.int32
        assert len(set(map(tuple, found["shared"].tolist()))) > 1  # else any codes would do
        path = served.files / f"test1.{end}"
        codes = client.encode(path, modality)
        whole = rest.predict(f"encode_{modality}_bytes", {f"{modality}_bytes": [path.read_bytes()]})
        np.testing.assert_array_equal(codes.shared, whole["shared"][0])
        np.testing.assert_array_equal(codes.private, whole["private"][0])
        assert codes.version == 1
        again = client.encode(path.read_bytes(), modality)
        np.testing.assert_array_equal(again.shared, codes.shared)
        embedded = client.predict(f"embed_{modality}", {modality: items})["embedding"]
        np.testing.assert_allclose(
            embedded, rest.predict(f"embed_{modality}", {modality: items})["output"], atol=1e-5
        )


def test_decode_is_the_model_s(client, served):
    codec = served.codec
    codes = codec.model.encode(image=codec.items["image"][:1])
    shared, private = np.array(codes.shared[0]), np.array(codes.private[0])
    for given, whole in ((private, codes), (None, codes._replace(private=None))):
        picture = client.decode(shared, "image", given)
        np.testing.assert_allclose(picture, codec.model.decode(whole, "image")[0], atol=1e-5)
    assert client.decode(shared.tolist(), "audio").shape == (1024,)
    assert client.versions() == {1: "AVAILABLE"}


@pytest.mark.parametrize(
    "signature, inputs, told",
    [
        ("encode_imag", {"image": [0]}, "did you mean 'encode_image'?"),
        ("__saved_model_init_op", {}, "legal: decode_audio, decode_image, embed_audio"),
        ("encode_image", {"audio": [0]}, "encode_image takes image; received ['audio']"),
        ("decode_image", {"shared": [[0.5, 1]], "private": [[0]]}, "shared takes int32; received float64"),
        ("decode_image", {"shared": [[2**32, 1]], "private": [[0]]}, "shared takes int32; received values"),
        ("encode_image", {"image": [[1, 2], [1]]}, "image is no array"),
        ("encode_image_bytes", {"image_bytes": b"x"}, "image_bytes takes files"),
        ("encode_image_bytes", {"image_bytes": [b"x"]}, "neither PNG nor"),
        ("decode_image", {"shared": [[9999, 9999]], "private": np.full((1, 16), -1)}, "codes lie between"),
    ],
)
def test_what_is_wrong_is_told(client, signature, inputs, told):
    with pytest.raises(ServiceError) as refusal:
        client.predict(signature, inputs)
    assert refusal.value.status == 400 and told in refusal.value.reason, refusal.value.reason
    assert not any(part in refusal.value.reason for part in ("{{", "[Op:", "assertion", "Graph execution"))


def test_values_that_cannot_be_meant_are_refused_by_the_client_and_by_the_server(client, served, monkeypatch):
    items = {"image": 255 * served.codec.items["image"][:1]}
    reasons = []
    for checked in (True, False):
        if not checked:  # as another client would send them
            monkeypatch.setattr("vqmm.serving.grpc_client.VALUE_RANGES", {})
        with pytest.raises(ServiceError) as refusal:
            client.predict("encode_image", items)
        assert refusal.value.status == 400
        reasons.append(refusal.value.reason)
    for reason in reasons:
        assert reason.startswith("pictures have values of 0 to 1 (divide bytes by 255); received values of ")


def test_another_model_is_not_found(address):
    with GrpcClient(address, model="other") as client, pytest.raises(ServiceError) as refusal:
        client.versions()
    assert refusal.value.status == 404 and "Latest(other)" in refusal.value.reason


def test_a_full_server_is_asked_again_and_in_the_end_told(client, server, address, served):
    items = {"image": served.codec.items["image"][:1]}
    client.predict("encode_image", items)
    server.asked.clear()
    server.refuse = 2
    assert client.predict("encode_image", items)["shared"].shape == (1, 2)
    assert server.asked == ["encode_image"] * 3
    server.refuse = 1
    with GrpcClient(address, retries=0) as once, pytest.raises(ServiceError) as refusal:
        once.predict("encode_image", items)
    assert refusal.value.status == 503 and "or is full: The batch scheduling queue" in refusal.value.reason
    assert server.refuse == 0


def test_no_answer_in_time(server, address, served):
    items = {"image": served.codec.items["image"][:1]}
    with GrpcClient(address, timeout=0.5) as client:
        client.predict("encode_image", items)
        server.held = True
        started = time.monotonic()
        try:
            with pytest.raises(ServiceError) as refusal:
                client.predict("encode_image", items)
        finally:
            server.held = False
            server.go.set()
    assert refusal.value.status == 504 and "within 0.5 s" in refusal.value.reason
    assert time.monotonic() - started < 5


def test_nobody_there(served):
    with socket.socket() as taken:  # bound, not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with GrpcClient(place, retries=0, timeout=5) as client, pytest.raises(ServiceError) as refusal:
            client.encode(b"x", "image")
    assert refusal.value.status == 503 and place in refusal.value.reason
    with pytest.raises(ValueError, match="retries=9"):
        GrpcClient(place, retries=9)
