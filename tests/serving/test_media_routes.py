import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from vqmm.data.file_records import file_records
from vqmm.encoding import encode_records
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.model_index import query_values

ENDS = {"audio": "wav", "image": "png"}


def encoded(served, paths, modality):
    model, config, _ = served.codec
    return encode_records(model, file_records(paths, modality, config.data), config, modality)


def send(served, route, data, kind, **params):
    return served.http.post(route, content=data, headers={"Content-Type": kind}, params=params)


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_codes_and_hits_are_those_of_the_run(served, modality):
    found, index = [], FaissIndex.open(served.index)
    other = {"audio": "image", "image": "audio"}[modality]
    paths = [served.files / f"test{n}.{ENDS[modality]}" for n in range(4)]
    expected = encoded(served, paths, modality)
    values = query_values(served.codec.model, expected)
    for n, path in enumerate(paths):
        said = send(served, "/encode", path.read_bytes(), f"{modality}/x").json()
        assert said["shared"] == expected.shared[n].tolist()
        assert said["private"] == expected.private[n].tolist()
        found.append(tuple(said["shared"]))
        for wanted in (None, modality, "any"):
            params = {"k": 5} if wanted is None else {"k": 5, "modality": wanted}
            hits = send(served, "/search", path.read_bytes(), f"{modality}/x", **params).json()["hits"]
            kind = None if wanted == "any" else wanted or other
            best = index.search(values[n : n + 1], 5, kind)
            assert [hit["id"] for hit in hits] == [item.id for item in best.items[0]]
            np.testing.assert_allclose([hit["score"] for hit in hits], best.scores[0], atol=1e-4)
    assert len(set(found)) > 1  # else any codes would do


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_decode_gives_what_the_model_does(served, modality):
    codec = served.codec
    codes = codec.model.encode(**{modality: codec.items[modality][:1]})
    for private in (codes.private, None):
        asked = {"modality": modality, "shared": np.array(codes.shared[0]).tolist()}
        if private is not None:
            asked["private"] = np.array(private[0]).tolist()
        said = served.http.post("/decode", json=asked)
        assert said.status_code == 200, said.text
        if modality == "image":
            pixels = np.asarray(Image.open(io.BytesIO(said.content)))[None, :, :, None] / 255
            expected = codec.model.decode(codes._replace(private=private), "image")
            np.testing.assert_allclose(pixels, expected, atol=1 / 255)
        else:
            samples, rate = soundfile.read(io.BytesIO(said.content))
            assert rate == 2000 and len(samples) == 1024


def wav(seconds, rate=2000):
    buffer = io.BytesIO()
    tone = 0.5 * np.sin(np.arange(int(seconds * rate)))
    soundfile.write(buffer, tone, rate, format="WAV")
    return buffer.getvalue()


def png(side):
    buffer = io.BytesIO()
    Image.new("L", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data, kind, status, told",
    [
        (b"RIFF", "audio/wav", 422, "cannot be read as audio (WAV, FLAC, MP3, OGG)"),
        (b"", "audio/wav", 422, "is empty"),
        (wav(1)[:900], "audio/wav", 422, "truncated"),
        (wav(3.5), "audio/wav", 422, "lasts 3.5 s; data.audio.max_seconds=3"),
        (png(101), "image/png", 422, "10201 pixels, not decoded; data.image.max_pixels=10000"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml", 422, "none of PNG"),
        (wav(1), "application/octet-stream", 415, "legal: audio/wav"),
        (bytes(300_001), "image/png", 413, "300000 bytes are the most"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(served, data, kind, status, told):
    for route in ("/encode", "/search"):
        said = send(served, route, data, kind)
        assert said.status_code == status and told in said.json()["error"], said.text
        assert "/tmp" not in said.text


def test_the_answer_says_which_part_of_a_recording_was_used_and_what_was_odd(served):
    rate, window = served.codec.config.data.audio.sample_rate, served.codec.config.data.audio.samples
    time = np.arange(2 * rate) / rate
    beep = 0.5 * np.sin(2 * np.pi * 300 * time) * np.where((time >= 1) & (time < 1.3), 1.0, 0.02)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([beep, -beep], axis=1), rate, format="WAV")
    encode = send(served, "/encode", buffer.getvalue(), "audio/wav").json()
    search = send(served, "/search", buffer.getvalue(), "audio/wav", k=1).json()["query"]
    for said in (encode, search):
        used = said["used"]
        assert used["of_seconds"] == 2.0 and used["start_seconds"] <= 1.0 and used["end_seconds"] >= 1.3
        assert abs(used["end_seconds"] - used["start_seconds"] - window / rate) < 1e-6
        assert len(said["notes"]) == 1 and "cancel each other" in said["notes"][0]
    picture = send(served, "/encode", (served.files / "test0.png").read_bytes(), "image/png").json()
    assert picture["used"] is None and picture["notes"] == []


@pytest.mark.parametrize(
    "change, told",
    [
        ({"shared": [1]}, "shared: 1 codes; 2 are legal"),
        ({"shared": [99, 99]}, "codes lie between"),
        ({"shared": [2**40, 1]}, "shared.0"),
        ({"modality": "text"}, "modality"),
        ({"more": 1}, "more"),
        ({"shared": ["0", "1"]}, "shared.0"),
        ({"shared": [True, 1]}, "shared.0"),
        ({"shared": [0.0, 1]}, "shared.0"),
    ],
)
def test_codes_to_decode_are_checked(served, change, told):
    said = served.http.post("/decode", json={"modality": "image", "shared": [0, 1], **change})
    assert said.status_code == 422 and told in said.json()["error"], said.text


def test_what_would_be_passed_over_is_refused(served):
    data = (served.files / "test1.png").read_bytes()
    said = send(served, "/encode", data, "image/png", modality="audio")
    assert said.status_code == 400 and "/encode takes no options; received modality" in said.json()["error"]
    said = send(served, "/search", data, "image/png", k=["3", "5"])
    assert said.status_code == 400 and "k is given 2 times" in said.json()["error"]
    said = send(served, "/search", data, "image/png", where=["label=1", "label=2"])
    assert said.status_code == 200
    said = served.http.post("/decode", content=b'{"modality": "image", "shared": [0, 1], "shared": [1, 1]}')
    assert said.status_code == 400 and "'shared' twice" in said.json()["error"]


def test_a_refusal_names_only_formats_that_are_read_here(served):
    for data in (b"GIF", b"\x00\x01 is no picture", b"<svg/>"):
        said = send(served, "/encode", data, "image/png")
        assert said.status_code == 422 and "PNG" in said.text and "SVG" not in said.text
