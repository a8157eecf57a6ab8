import base64
import gzip
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
        (b'{"signature_name": "encode_image", "instance": [1]}', 400, "did you mean 'instances'?"),
        (b'{"signature_name": "encode_image", "inputs": [], "inputs": [1]}', 400, "'inputs' twice"),
        (b'{"signature_name": "encode_image", "inputs": []}', 400, "received shape [0]"),
        (
            b'{"signature_name": "decode_image", "inputs": {"shared": [[true, 2]], "private": 1}}',
            400,
            "true or",
        ),
        (
            '{"signature_name": "encode_audio", "inputs": [[0.5, false]]}'.encode("utf-16"),
            400,
            "true or false",
        ),
        (
            b'{"signature_name": "encode_audio", "inputs": [true, ' + b"[" * 900 + b"]" * 900 + b"]}",
            400,
            "true or",
        ),
        (
            b'{"signature_name": "encode_audio", "inputs": [' + b"[" * 900 + b"]" * 900 + b", true]}",
            400,
            "audio must be float32[n, 1024]",
        ),
        (b'{"signature_name": "encode_audio", "inputs": [[[0.5, 0.5]]]}', 400, "of one channel"),
        (b'{"signature_name": "encode_image", "inputs": [[[["0.5"]]]]}', 400, "another kind"),
        (b'{"signature_name": "encode_image", "inputs": [[[[1' + b"0" * 30 + b"]]]]}", 400, "beyond 64 bits"),
        (b'{"signature_name": "encode_image_bytes", "inputs": {"b64": "aGFs-G8_"}}', 400, "web-safe base64"),
        (
            b'{"signature_name": "encode_image_bytes", "instances": ["data:image/png;base64,aGFs"]}',
            400,
            "row 0 is a string; send {'b64'",
        ),
    ],
)
def test_what_is_wrong_is_told(served, body, status, told):
    said = served.http.post(PREDICT, content=body)
    assert said.status_code == status and told in said.json()["error"], said.text


@pytest.mark.parametrize(
    "modality, change, told",
    [
        (
            "image",
            lambda x: 255 * x,
            "pictures have values of 0 to 1 (divide bytes by 255); received values of",
        ),
        ("image", lambda x: 2 * x - 1, "received values of -"),
        ("audio", lambda x: 32768 * x, "divide 16-bit samples by 32768"),
        ("audio", lambda x: np.where(x == x.max(), 1e30, x), "to 1e+30"),
        ("audio", lambda x: np.where(x == x.max(), np.inf, x), "NaN or infinite"),
    ],
)
@pytest.mark.parametrize("verb", ["encode", "embed"])
def test_values_that_cannot_be_meant_are_refused(served, verb, modality, change, told):
    items = change(served.codec.items[modality][:2].astype("float64"))
    body = json.dumps({"signature_name": f"{verb}_{modality}", "inputs": items.tolist()})
    said = served.http.post(PREDICT, content=body)
    assert said.status_code == 400 and told in said.json()["error"], said.text


def test_the_graph_itself_refuses_them_in_plain_words(served):
    model = served.service.pair.model
    loud = model.submit("encode_image", {"image": 255 * served.codec.items["image"][:1]}).exception(30)
    assert isinstance(loud, tf.errors.InvalidArgumentError)
    from vqmm.plain_reason import plain_reason

    reason = plain_reason(loud)
    assert reason.startswith("pictures have values of 0 to 1 (divide bytes by 255); received values of ")
    assert not any(part in reason for part in ("{{", "[Op:", "node", "assertion"))
    told = served.http.get("/v1/models/vqmm/metadata").json()["metadata"]["vqmm"]
    assert told["image"]["values"] == [0, 1] and told["audio"]["values"] == [-1, 1]
    assert told["audio"]["sample_rate"] == 2000 and told["audio"]["channels"] == 1


def test_the_forms_that_tensorflow_serving_takes(served, signatures):
    data = (served.files / "test1.png").read_bytes()
    lines = base64.encodebytes(data).decode()  # as `base64 FILE` prints it
    expected = signatures[1]["encode_image_bytes"](image_bytes=tf.constant([data]))["shared"].numpy().tolist()
    for file in ({"b64": lines}, {"b64": lines.replace("\n", "\r\n").rstrip("=\r\n")}):
        for inputs in (file, [file], {"image_bytes": file}, {"image_bytes": [file]}):
            body = {"signature_name": "encode_image_bytes", "inputs": inputs}
            said = served.http.post(PREDICT, json=body)
            assert said.status_code == 200 and said.json()["outputs"]["shared"] == expected, said.text
    packed = gzip.compress(json.dumps(body).encode())
    said = served.http.post(PREDICT, content=packed, headers={"Content-Encoding": "gzip"})
    assert said.status_code == 200 and said.json()["outputs"]["shared"] == expected
    bomb = gzip.compress(bytes(300_001))
    said = served.http.post(PREDICT, content=bomb, headers={"Content-Encoding": "gzip"})
    assert said.status_code == 413 and "when it is inflated; 300000 bytes" in said.json()["error"]


def test_more_rows_than_one_call_takes_are_answered_alike(served):
    items = np.concatenate([served.codec.items["image"]] * 2)[:15]  # a call has 8 rows at most here
    said = served.http.post(PREDICT, json={"signature_name": "encode_image", "inputs": items.tolist()})
    expected = served.codec.model.encode(image=items)
    np.testing.assert_array_equal(said.json()["outputs"]["shared"], expected.shared)
    np.testing.assert_array_equal(said.json()["outputs"]["private"], expected.private)


def test_private_codes_that_are_left_out_in_part_are_refused(served):
    codes = served.codec.model.encode(image=served.codec.items["image"][:1])
    private = np.array(codes.private)
    private[0, 3] = -1
    body = {"shared": np.array(codes.shared).tolist(), "private": private.tolist()}
    said = served.http.post(PREDICT, json={"signature_name": "decode_image", "inputs": body})
    assert said.status_code == 400 and "all -1 in an item that has none" in said.json()["error"]


@pytest.mark.parametrize(
    "method, path, status, told",
    [
        ("POST", "/v1/models/vqm:predict", 404, "did you mean '/v1/models/vqmm:predict'?"),
        ("POST", "/v1/models/vqmm:classify", 404, "legal: /encode"),
        ("GET", PREDICT, 405, "GET '/v1/models/vqmm:predict'; legal: POST"),
        ("OPTIONS", "/encode", 405, "legal: POST"),
        ("PUT", "/healthz", 405, "legal: GET"),
    ],
)
def test_other_paths_and_methods_are_told_what_there_is(served, method, path, status, told):
    said = served.http.request(method, path)
    assert said.status_code == status and told in said.json()["error"], said.text
    assert served.http.post("/v1/models/vqmm%3Apredict", content=b"").status_code == 400  # the same path


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
