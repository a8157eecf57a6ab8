"""ONNX files, run by ONNX Runtime: against the Keras model, and where nothing else is loaded."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

from vqmm.encoding import codebook_fingerprint
from vqmm.errors import UserError
from vqmm.export.onnx import write_onnx
from vqmm.export.parity import compare, reference
from vqmm.export.runners import onnx_runners

ELSEWHERE = """
import json, sys
import numpy as np
import onnxruntime
path, inputs, out = sys.argv[1:]
found = onnxruntime.InferenceSession(path).run(["shared"], {"image": np.load(inputs)})
np.save(out, found[0])
print(json.dumps([name for name in ("tensorflow", "keras", "vqmm") if name in sys.modules]))
"""


@pytest.fixture(scope="module")
def folder(codec, tmp_path_factory):
    return write_onnx(codec.model, codec.config, tmp_path_factory.mktemp("onnx") / "new")


def test_codes_and_what_is_decoded_are_those_of_keras(codec, folder):
    wanted = {modality: reference(codec.model, modality, items) for modality, items in codec.items.items()}
    found = compare(codec.model, wanted, onnx_runners(folder))
    assert found["agreement"] == 1.0 and found["max_abs_diff"] < 1e-4
    assert len(found["signatures"]) == 4
    assert len(np.unique(wanted["image"].codes["private"])) > 1  # else any codes would do


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_embeddings_of_one_and_of_many(codec, folder, modality):
    items = codec.items[modality]
    expected = codec.model.embed(**{modality: items})
    run = onnx_runners(folder)(f"embed_{modality}")
    np.testing.assert_allclose(run({modality: items})["embedding"], expected, atol=1e-5)
    np.testing.assert_allclose(run({modality: items[:1]})["embedding"], expected[:1], atol=1e-5)


def test_codes_without_private_ones_are_rebuilt(codec, folder):
    codes = codec.model.encode(image=codec.items["image"][:2])
    none = np.full(codes.private.shape, -1, np.int32)
    run = onnx_runners(folder)("decode_image")
    found = run({"shared": np.array(codes.shared), "private": none})["image"]
    np.testing.assert_allclose(found, codec.model.decode(codes._replace(private=None), "image"), atol=1e-5)


def test_files_tell_what_they_are_and_hold_standard_operators_alone(codec, folder):
    facts = json.loads((folder / "vqmm.json").read_text())
    assert facts["fingerprint"] == codebook_fingerprint(codec.model)
    assert {path.name for path in folder.glob("*.onnx")} == set(facts["files"].values())
    for name, file in facts["files"].items():
        graph = onnx.load(folder / file)
        onnx.checker.check_model(graph, full_check=True)
        assert {node.domain for node in graph.graph.node} == {""}
        assert {part.name for part in graph.graph.input} == set(facts["signatures"][name]["inputs"])
        assert {part.name for part in graph.graph.output} == set(facts["signatures"][name]["outputs"])


def test_they_run_where_nothing_else_is_loaded(codec, folder, tmp_path):
    np.save(tmp_path / "in.npy", codec.items["image"][:3])
    args = [folder / "encode_image.onnx", tmp_path / "in.npy", tmp_path / "out.npy"]
    said = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *map(str, args)], capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout) == []
    expected = codec.model.encode(image=codec.items["image"][:3]).shared
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


def test_what_cannot_be_is_told(codec, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        write_onnx(codec.model, codec.config, tmp_path / "file")
    train = codec.config.train.model_copy(update={"mixed_precision": True})
    with pytest.raises(UserError, match="mixed_precision=true"):
        write_onnx(codec.model, codec.config.model_copy(update={"train": train}), tmp_path / "a")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"tf2onnx, which is not installed: pip install 'vqmm\[onnx\]'"):
        write_onnx(codec.model, codec.config, tmp_path / "a")
    with pytest.raises(UserError, match="onnxruntime, which is not installed"):
        onnx_runners(tmp_path)
