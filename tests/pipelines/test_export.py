import json

import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import save_config
from vqmm.encoding import encode_split
from vqmm.export.runners import litert_runners
from vqmm.models import Codes
from vqmm.training.run_folder import open_run


def test_all_formats_and_their_parity(verb, tiny_run, tiny_data, tmp_path):
    args = ("--run", tiny_run, "--data", tiny_data.folder, "--out", tmp_path / "out", "--verify", "--json")
    said = verb("export", *args)
    assert said.status == 0, said
    answer = json.loads(said.out)
    files, parity = answer["files"], answer["parity"]
    names = ["saved_model", "litert_fp32", "litert_fp16", "litert_dynamic", "litert_int8"]
    assert list(files) == list(parity) == names
    assert json.loads((tmp_path / "out" / "parity.json").read_text()) == parity
    for name in names:
        assert f"parity: {name}" in said.err
        assert parity[name]["bytes"] == files[name]["bytes"] > 10_000
        assert parity[name]["signatures"]["encode_audio"]["items"] == 8
    by_files = parity["saved_model"]["signatures"]["encode_image_bytes"]
    assert by_files["items"] == 11 and by_files["differ"] == [] and by_files["agreement"] == 1
    assert list(by_files["refused"]) == ["PNG with a linear gamma"]
    assert "encode_image_bytes" not in parity["litert_fp32"]["signatures"]
    assert parity["saved_model"]["agreement"] == 1 and parity["litert_fp32"]["agreement"] > 0.999
    sound = parity["saved_model"]["signatures"]["encode_audio_bytes"]
    assert sound["refused"] == {} and len(sound["forms"]) == 13 and sound["agreement"] > 0.98
    assert parity["litert_int8"]["agreement"] > 0.95
    opened = open_run(tiny_run)
    expected = encode_split(opened.model, tiny_data, opened.config, "test", "image")
    items = np.stack([tf.io.decode_png(data) for data in tiny_data.split("test").pictures.data]) / np.float32(
        255
    )
    found = tf.saved_model.load(files["saved_model"]["path"]).signatures["encode_image"](tf.constant(items))
    np.testing.assert_array_equal(found["shared"], expected.shared)
    found = litert_runners(files["litert_fp32"]["path"])("encode_image")({"image": items})
    np.testing.assert_array_equal(found["shared"], expected.shared)


def test_one_format_without_data(verb, tiny_run, tmp_path, monkeypatch):
    def write(model, config, folder, precisions, samples, tell):
        assert list(precisions) == ["fp16"] and samples is None
        folder.mkdir(parents=True)
        (folder / "a.tflite").write_bytes(bytes(20_000))
        return {"fp16": folder / "a.tflite"}

    monkeypatch.setattr("vqmm.export.litert.write_litert", write)
    said = verb("export", "--run", tiny_run, "--out", tmp_path / "out", "--formats", "litert_fp16")
    assert said.status == 0, said
    assert "litert_fp16" in said.out and "0.02" in said.out and "equal codes" not in said.out
    assert str(tmp_path / "out" / "litert" / "a.tflite") in said.out


def test_onnx_is_measured_as_the_others_are(verb, tiny_run, tiny_data, tmp_path, monkeypatch):
    def write(model, config, folder):
        folder.mkdir(parents=True)
        for name in ("a", "b"):
            (folder / f"{name}.onnx").write_bytes(bytes(6_000))
        return folder

    def runners(folder):
        opened, found = open_run(tiny_run), {}
        for modality in ("audio", "image"):
            found[f"encode_{modality}"] = lambda inputs: {
                part: codes
                for part, codes in opened.model.encode(**inputs, fine=False)._asdict().items()
                if codes is not None
            }
            name = {"audio": "log_mel", "image": "image"}[modality]
            found[f"decode_{modality}"] = lambda codes, modality=modality, name=name: {
                name: opened.model.decode(Codes(**codes), modality)
            }
        return found.get

    monkeypatch.setattr("vqmm.export.onnx.write_onnx", write)
    monkeypatch.setattr("vqmm.export.runners.onnx_runners", runners)
    args = ("--out", tmp_path / "out", "--formats", "onnx", "--data", tiny_data.folder, "--verify", "--json")
    said = verb("export", "--run", tiny_run, *args)
    assert said.status == 0, said
    parity = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert list(parity) == ["onnx"] and parity["onnx"]["bytes"] == 12_000
    assert parity["onnx"]["agreement"] == 1.0


@pytest.mark.parametrize(
    "more, said",
    [
        (("--formats", "saved_model", "--request-pixels", 3), "--request-pixels 3; 4 is the least"),
        (
            ("--formats", "savedmodel"),
            "'savedmodel' (did you mean 'saved_model'?); legal: saved_model, litert",
        ),
        (("--formats", ","), "names none"),
        ((), "litert_int8 needs prepared data: add --data"),
        (("--formats", "saved_model", "--verify"), "--verify compares codes on prepared data"),
        (("--formats", "saved_model", "--data", "nowhere"), "nowhere"),
    ],
)
def test_a_wrong_command_line_is_told(verb, tiny_run, tmp_path, more, said):
    assert said in verb("export", "--run", tiny_run, "--out", tmp_path / "out", *more).refusal()
    assert not (tmp_path / "out").exists()


def test_wrong_places_are_told(verb, tiny_run, tiny_config, tmp_path):
    formats = ("--formats", "saved_model")
    assert (
        "no run folder"
        in verb("export", "--run", tmp_path / "no", "--out", tmp_path / "o", *formats).refusal()
    )
    (tmp_path / "file").write_text("")
    assert "is a file" in verb("export", "--run", tiny_run, "--out", tmp_path / "file", *formats).refusal()
    vae = tiny_config.model_copy(update={"model": tiny_config.model.model_copy(update={"kind": "vae"})})
    (tmp_path / "vae").mkdir()
    save_config(vae, tmp_path / "vae" / "config.yaml")
    said = verb("export", "--run", tmp_path / "vae", "--out", tmp_path / "o", *formats).refusal()
    assert "holds a VAE, which has no codes" in said
