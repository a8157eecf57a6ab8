import base64
import json

import numpy as np
import pytest
import tensorflow as tf
from picture_files import chunk, with_chunks

from vqmm.export.warmup import square_png

PREDICT = "/v1/models/vqmm:predict"


@pytest.fixture(scope="module")
def signatures(served):
    loaded = tf.saved_model.load(str(served.export / "saved_model" / "1"))
    return loaded, loaded.signatures  # both: signatures alone do not keep the weights


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_codes_are_those_of_the_saved_model_by_row_and_by_column(served, signatures, modality):
    items = served.codec.items[modality][:5]
    expected = signatures[1][f"encode_{modality}"](**{modality: tf.constant(items)})
    name = f"encode_{modality}"
    rows = [{modality: item.tolist()} for item in items]
    for instances in (rows, items.tolist()):  # the only input may come without its name
        said = served.http.post(PREDICT, json={"signature_name": name, "instances": instances})
        assert said.status_code == 200, said.text
        predictions = said.json()["predictions"]
        for key, value in expected.items():
            np.testing.assert_array_equal([row[key] for row in predictions], value)
    said = served.http.post(
        "/v1/models/vqmm/versions/1:predict",
        json={"signature_name": name, "inputs": {modality: items.tolist()}},
    )
    for key, value in expected.items():
        np.testing.assert_array_equal(said.json()["outputs"][key], value)


def test_files_and_single_outputs(served, signatures):
    data = [(served.files / f"test{n}.png").read_bytes() for n in range(3)]
    coded = [{"b64": base64.b64encode(part).decode()} for part in data]
    expected = signatures[1]["encode_image_bytes"](image_bytes=tf.constant(data))["shared"]
    said = served.http.post(PREDICT, json={"signature_name": "encode_image_bytes", "instances": coded})
    np.testing.assert_array_equal([row["shared"] for row in said.json()["predictions"]], expected)
    items = served.codec.items["image"][:2]
    said = served.http.post(PREDICT, json={"signature_name": "embed_image", "inputs": items.tolist()})
    vectors = signatures[1]["embed_image"](image=tf.constant(items))["embedding"]
    np.testing.assert_allclose(said.json()["outputs"], vectors, atol=1e-5)


def test_status_and_metadata(served):
    for path in ("/v1/models/vqmm", "/v1/models/vqmm/versions/1"):
        (state,) = served.http.get(path).json()["model_version_status"]
        assert state["version"] == "1" and state["state"] == "AVAILABLE"
    for path in ("/v1/models/vqmm/metadata", "/v1/models/vqmm/versions/1/metadata"):
        told = served.http.get(path).json()
        shapes = told["metadata"]["signature_def"]["signature_def"]["encode_image"]["inputs"]["image"]
        assert [d["size"] for d in shapes["tensor_shape"]["dim"]] == ["-1", "16", "16", "1"]
    for path in ("/v1/models/other", "/v1/models/vqmm/versions/7", "/v1/models/vqmm/versions/7/metadata"):
        assert served.http.get(path).status_code == 404
    said = served.http.post("/v1/models/vqmm/versions/7:predict", json={})
    assert said.status_code == 404 and "version 1 is" in said.json()["error"]


@pytest.mark.parametrize(
    "body, status, told",
    [
        (b"", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b'{"signature_name": "encode_imag", "instances": [1]}', 400, "did you mean 'encode_image'?"),
        (b'{"signature_name": "encode_image"}', 400, "either 'instances'"),
        (b'{"signature_name": "encode_image", "instances": []}', 400, "one row or more"),
        (b'{"signature_name": "encode_image", "inputs": [[[["a"]]]]}', 400, "another kind"),
        (b'{"signature_name": "encode_image", "inputs": [[1], [1, 2]]}', 400, "unequal lengths"),
        (b'{"signature_name": "encode_image", "inputs": {"audio": 1}}', 400, "takes image"),
        (b'{"signature_name": "encode_image_bytes", "inputs": [{"b64": "*"}]}', 400, "not base64"),
        (
            b'{"signature_name": "encode_image_bytes", "inputs": [{"b64": "aGFsbG8="}]}',
            400,
            "neither PNG nor",
        ),
        (b'{"signature_name": "decode_image", "inputs": {"shared": [[1.5, 2]], "private": 1}}', 400, "int32"),
    ],
)
def test_what_is_wrong_is_told(served, body, status, told):
    said = served.http.post(PREDICT, content=body)
    assert said.status_code == status and told in said.json()["error"], said.text


def test_a_file_whose_bytes_are_no_text_is_told(served):
    body = {"signature_name": "encode_audio_bytes", "instances": [{"b64": "gICAgAAAAACAgICA"}]}
    said = served.http.post(PREDICT, json=body)  # TensorFlow quotes the bytes
    assert said.status_code == 400 and "RIFF" in said.json()["error"], said.text


def test_pictures_of_a_request_are_limited_together(served):
    rows = [{"b64": base64.b64encode(square_png((80, 80, 1))).decode()}] * 2  # 10,000 pixels are allowed
    body = {"signature_name": "encode_image_bytes", "instances": rows}
    said = served.http.post(PREDICT, json=body)
    assert said.status_code == 413 and "12800 pixels together; 10000" in said.json()["error"]
    assert served.http.post(PREDICT, json={**body, "instances": rows[:1]}).status_code == 200


def test_a_damaged_profile_is_refused_by_name(served):
    data = with_chunks(square_png((16, 16, 1)), chunk(b"iCCP", b"name\0\0no zlib stream"))
    rows = [{"b64": base64.b64encode(data).decode()}]
    said = served.http.post(PREDICT, json={"signature_name": "encode_image_bytes", "instances": rows})
    assert said.status_code == 400 and "damaged colour profile" in said.json()["error"], said.text


def test_limits_and_ranges(served):
    said = served.http.post(
        PREDICT, json={"signature_name": "encode_image", "inputs": np.zeros((17, 16, 16, 1)).tolist()}
    )
    assert said.status_code == 413 and "17 rows; 16" in said.json()["error"]
    nan = np.full((1, 16, 16, 1), np.nan).tolist()
    said = served.http.post(PREDICT, content=json.dumps({"signature_name": "encode_image", "inputs": nan}))
    assert said.status_code == 400 and "NaN" in said.json()["error"]
    specs = served.service.pair.model.signatures["decode_image"]["inputs"]
    codes = {name: np.full((1, *spec["shape"][1:]), 9999).tolist() for name, spec in specs.items()}
    said = served.http.post(PREDICT, json={"signature_name": "decode_image", "inputs": codes})
    assert said.status_code == 400 and "codes lie between" in said.json()["error"]
    large = base64.b64encode(tf.io.encode_png(np.zeros((101, 100, 1), np.uint8)).numpy()).decode()
    said = served.http.post(
        PREDICT, json={"signature_name": "encode_image_bytes", "instances": [{"b64": large}]}
    )
    assert said.status_code == 413 and "100 x 101 pixels; 10000" in said.json()["error"]
