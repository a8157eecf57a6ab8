import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from codec_of import codec_of

from vqmm.config import Config
from vqmm.encoding import codebook_fingerprint
from vqmm.errors import UserError
from vqmm.export.litert import write_litert
from vqmm.export.quantize import PRECISIONS
from vqmm.export.runners import litert_runners

# A device has NumPy and the interpreter, nothing else.
DEVICE = """
import json, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
path, inputs, out = sys.argv[1:]
interpreter = Interpreter(path)
given = np.load(inputs)
encode = interpreter.get_signature_runner("encode_audio")
found = [encode(audio=item[None]) for item in given["audio"]]
np.savez(out, **{name: np.concatenate([part[name] for part in found]) for name in found[0]})
print(json.dumps([name for name in ("tensorflow", "keras", "vqmm") if name in sys.modules]))
"""


@pytest.fixture(scope="module")
def files(codec, tmp_path_factory):
    told = []
    folder = tmp_path_factory.mktemp("litert") / "new"
    paths = write_litert(codec.model, codec.config, folder, PRECISIONS, codec.items, told.append)
    assert len(told) == 1 + len(PRECISIONS) and list(paths) == list(PRECISIONS)
    return paths


def codes_of(codec, modality):
    found = codec.model.encode(**{modality: codec.items[modality]}, fine=False)
    return found, {name: np.array(value) for name, value in found._asdict().items() if value is not None}


def agreement(codec, path):
    run = litert_runners(path)
    equal = []
    for modality, items in codec.items.items():
        _, codes = codes_of(codec, modality)
        found = run(f"encode_{modality}")({modality: items})
        equal += [np.ravel(found[name] == value) for name, value in codes.items()]
    return np.concatenate(equal).mean()


@pytest.mark.parametrize(
    "precision, least", [("fp32", 0.999), ("fp16", 0.99), ("dynamic", 0.97), ("int8", 0.99)]
)
def test_codes_are_those_of_keras(codec, files, precision, least):
    assert agreement(codec, files[precision]) >= least


@pytest.fixture(scope="module")
def odd(tiny_config, tiny_data, tmp_path_factory):
    """A model whose Fourier transform LiteRT does not have, and its files."""
    tree = tiny_config.model_dump()
    tree["model"]["log_mel"] |= {"n_fft": 60}
    codec = codec_of(Config.model_validate(tree), tiny_data)
    folder = tmp_path_factory.mktemp("odd")
    return codec, write_litert(codec.model, codec.config, folder, PRECISIONS, codec.items)


@pytest.mark.parametrize(
    "precision, least", [("fp32", 0.999), ("fp16", 0.99), ("dynamic", 0.97), ("int8", 0.99)]
)
def test_any_length_of_transform_will_do(odd, precision, least):
    codec, files = odd
    assert agreement(codec, files[precision]) >= least
    facts = json.loads((files[precision].parent / "vqmm.json").read_text())
    assert facts["fingerprint"] == codebook_fingerprint(codec.model)


@pytest.mark.parametrize("precision, most", [("fp32", 1e-5), ("fp16", 5e-3), ("dynamic", 0.1), ("int8", 0.2)])
def test_what_is_decoded_is_that_of_keras(codec, files, precision, most):
    run = litert_runners(files[precision])
    for modality, name in (("audio", "log_mel"), ("image", "image")):
        codes, named = codes_of(codec, modality)
        found = run(f"decode_{modality}")(named)[name]
        np.testing.assert_allclose(found, codec.model.decode(codes, modality), atol=most)


def test_private_codes_may_be_left_out(codec, files):
    codes = codec.model.encode(audio=codec.items["audio"][:1])
    given = {"shared": np.array(codes.shared), "private": np.full((1, 64), -1, np.int32)}
    found = litert_runners(files["fp32"])("decode_image")(given)["image"]
    alone = codec.model.decode(codes._replace(private=None), "image")
    np.testing.assert_allclose(found, alone, atol=1e-5)


def test_the_runner_refuses_values_that_the_graph_cannot(codec, files):
    facts = json.loads((files["fp32"].parent / "vqmm.json").read_text())
    assert not facts["values_checked"] and facts["image"]["accepted"] == [-0.01, 1.01]
    with pytest.raises(UserError, match="divide bytes by 255"):
        litert_runners(files["fp32"])("encode_image")({"image": 255 * codec.items["image"][:1]})


@pytest.mark.parametrize("precision", PRECISIONS)
def test_only_built_in_operations(files, precision):
    model = flatbuffer_utils.read_model(str(files[precision]))
    kinds = {code.builtinCode for code in model.operatorCodes}
    assert schema.BuiltinOperator.CUSTOM not in kinds
    whole = [t for graph in model.subgraphs for t in graph.tensors if t.type == schema.TensorType.INT8]
    # Of int8 the activations too; of dynamic the weights alone.
    held = [
        bool(model.buffers[t.buffer].data is None or not len(model.buffers[t.buffer].data)) for t in whole
    ]
    assert (len(whole) > 0) == (precision in ("dynamic", "int8")) and any(held) == (precision == "int8")


def test_smaller_numbers_make_smaller_files(files):
    sizes = {precision: path.stat().st_size for precision, path in files.items()}
    assert sizes["fp16"] < 0.7 * sizes["fp32"] and sizes["dynamic"] < sizes["fp16"]


def test_a_device_needs_the_interpreter_and_numpy_alone(codec, files, tmp_path):
    np.savez(tmp_path / "in.npz", **codec.items)
    command = [
        sys.executable,
        "-c",
        DEVICE,
        str(files["fp32"]),
        *(str(tmp_path / n) for n in ("in.npz", "out.npz")),
    ]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0 and json.loads(done.stdout) == [], done.stderr
    found = np.load(tmp_path / "out.npz")
    codes = codec.model.encode(audio=codec.items["audio"])
    np.testing.assert_array_equal(found["shared"], codes.shared)
    assert np.mean(found["private"] == np.array(codes.private)) > 0.999


def test_the_facts_beside_the_files(codec, files):
    facts = json.loads((files["fp32"].parent / "vqmm.json").read_text())
    assert facts["files"] == {precision: path.name for precision, path in files.items()}
    assert facts["fingerprint"] == codebook_fingerprint(codec.model)
    assert facts["audio"]["sample_rate"] == 2000 and facts["grids"] == {"audio": [16, 8], "image": [8, 8]}
    assert facts["signatures"]["encode_audio"]["inputs"] == {
        "audio": {"dtype": "float32", "shape": [1, 1024]}
    }
    assert set(facts["signatures"]) == {"encode_audio", "encode_image", "decode_audio", "decode_image"}


@pytest.mark.parametrize(
    "part, whole", [("_encoder[^/;]*/trunk", False), ("/shared_head", True), ("_decoder[^/;]*/trunk", True)]
)
def test_the_trunks_on_which_private_codes_hang_keep_half_floats(files, part, whole):
    model = flatbuffer_utils.read_model(str(files["int8"]))
    values, weights = set(), set()
    for graph in model.subgraphs:
        made_of = {op.outputs[0]: graph.tensors[op.inputs[0]].type for op in graph.operators}
        for op in graph.operators:
            kind = model.operatorCodes[op.opcodeIndex].builtinCode
            if kind == schema.BuiltinOperator.CONV_2D and re.search(
                part, graph.tensors[op.outputs[0]].name.decode()
            ):
                values.add(graph.tensors[op.inputs[0]].type)
                weights.add(made_of.get(op.inputs[1], graph.tensors[op.inputs[1]].type))  # as they are kept
    kinds = schema.TensorType
    assert (values, weights) == (
        ({kinds.INT8}, {kinds.INT8}) if whole else ({kinds.FLOAT32}, {kinds.FLOAT16})
    )


def test_mistakes_are_told(codec, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        write_litert(codec.model, codec.config, tmp_path / "file")
    with pytest.raises(UserError, match="'int4'; legal: fp32"):
        write_litert(codec.model, codec.config, tmp_path, ["int4"])
    with pytest.raises(UserError, match="int8 needs samples"):
        write_litert(codec.model, codec.config, tmp_path, ["int8"])
    alone = {"image": codec.items["image"]}
    with pytest.raises(UserError, match="int8 needs samples.* there are no recordings; give"):
        write_litert(codec.model, codec.config, tmp_path, ["int8"], alone)
