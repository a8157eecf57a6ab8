import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from codec_of import codec_of

from vqmm.config import check_config
from vqmm.encoding import codebook_fingerprint
from vqmm.errors import UserError
from vqmm.export import saved_model
from vqmm.export.saved_model import write_saved_model, write_signatures
from vqmm.export.signatures import tensor_signatures
from vqmm.models import Codes

# What stock TensorFlow knows, with nothing of ours and nothing of tensorflow-io.
ALONE = """
import ctypes, glob, json, os, sys
import numpy as np, tensorflow as tf
from absl import flags
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry
from tensorflow.python.tools import saved_model_cli

folder, inputs, out = sys.argv[1:]
loaded = tf.saved_model.load(folder)
given = np.load(inputs)
found = {}
for name, signature in loaded.signatures.items():
    specs = signature.structured_input_signature[1]
    values = {key: given[f"{'encode_audio' if name == 'serving_default' else name} {key}"] for key in specs}
    files = {key: [bytes.fromhex(v) for v in values[key]] for key in specs if key.endswith("_bytes")}
    result = signature(**{key: tf.constant(value) for key, value in {**values, **files}.items()})
    found.update({f"{name} {key}": value.numpy() for key, value in result.items()})
np.savez(out, **found)

proto = saved_model_pb2.SavedModel()
proto.ParseFromString(open(os.path.join(folder, "saved_model.pb"), "rb").read())
graph = proto.meta_graphs[0].graph_def
ops = {node.op for node in graph.node} | {n.op for f in graph.library.function for n in f.node_def}
functions = {f.signature.name for f in graph.library.function}
unknown = sorted(op for op in ops - functions if op_def_registry.get(op) is None)

path = os.path.join(os.path.dirname(inputs), "image.npy")
np.save(path, given["encode_image image"])
options = {"dir": folder, "tag_set": "serve", "signature_def": "encode_image", "inputs": "image=" + path}
flags.FLAGS(["cli", *(f"--{k}={v}" for k, v in options.items()), "--outdir=" + os.path.dirname(inputs)])
saved_model_cli.run()

# The loader in C++ that TensorFlow Serving is built on.
(library,) = glob.glob(os.path.join(os.path.dirname(tf.__file__), "libtensorflow_cc.so.2"))
c = ctypes.CDLL(library)
for name in ("TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions", "TF_LoadSessionFromSavedModel"):
    getattr(c, name).restype = ctypes.c_void_p
status, graph_c, options = c.TF_NewStatus(), c.TF_NewGraph(), c.TF_NewSessionOptions()
tags = (ctypes.c_char_p * 1)(b"serve")
pointer = ctypes.c_void_p
c.TF_LoadSessionFromSavedModel(
    pointer(options), None, folder.encode(), tags, 1, pointer(graph_c), None, pointer(status)
)
foreign = [name for name in ("vqmm", "tensorflow_io", "librosa") if name in sys.modules]
cpp = c.TF_GetCode(pointer(status))
print(json.dumps({"unknown": unknown, "foreign": foreign, "cpp": cpp, "ops": len(ops)}))
"""


@pytest.fixture(scope="module")
def alone(codec, exported, tmp_path_factory):
    """Inputs, what a process with nothing but TensorFlow makes of them, and what it says."""
    folder = tmp_path_factory.mktemp("alone")
    wav = [tf.audio.encode_wav(item[:, None], 2000).numpy().hex() for item in codec.items["audio"][:3]]
    png = [tf.io.encode_png(np.uint8(255 * item)).numpy().hex() for item in codec.items["image"][:3]]
    inputs = {
        "encode_audio_bytes audio_bytes": np.array(wav),
        "encode_image_bytes image_bytes": np.array(png),
    }
    for modality, items in codec.items.items():
        codes = codec.model.encode(**{modality: items}, fine=False)
        for verb in ("encode", "embed"):
            inputs[f"{verb}_{modality} {modality}"] = items
        parts = {name: value for name, value in codes._asdict().items() if value is not None}
        inputs.update({f"decode_{modality} {name}": np.array(value) for name, value in parts.items()})
    np.savez(folder / "in.npz", **inputs)
    command = [sys.executable, "-c", ALONE, str(exported), str(folder / "in.npz"), str(folder / "out.npz")]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return inputs, dict(np.load(folder / "out.npz")), said, np.load(folder / "shared.npy")


def test_tensorflow_alone_gives_the_same_codes(codec, alone):
    _, found, said, by_cli = alone
    assert said["foreign"] == []
    for modality, items in codec.items.items():
        codes = codec.model.encode(**{modality: items}, fine=False)
        assert len(np.unique(codes.shared)) > 1 and len(np.unique(codes.private)) > 1
        np.testing.assert_array_equal(found[f"encode_{modality} shared"], codes.shared)
        np.testing.assert_array_equal(found[f"encode_{modality} private"], codes.private)
        embedded = codec.model.embed(**{modality: items})
        np.testing.assert_allclose(found[f"embed_{modality} embedding"], embedded, atol=1e-5)
    np.testing.assert_array_equal(by_cli, codec.model.encode(image=codec.items["image"]).shared)


def test_tensorflow_alone_rebuilds_the_same(codec, alone):
    _, found, _, _ = alone
    for modality, name in (("audio", "log_mel"), ("image", "image")):
        codes = codec.model.encode(**{modality: codec.items[modality]}, fine=False)
        rebuilt = codec.model.decode(codes, modality)
        np.testing.assert_allclose(found[f"decode_{modality} {name}"], rebuilt, atol=1e-5)
    assert found["decode_audio audio"].shape == (8, 1024)


def test_only_operations_of_tensorflow_itself(alone):
    _, _, said, _ = alone
    assert said["unknown"] == [] and said["ops"] > 50


def test_the_cpp_loader_takes_it(alone):
    _, _, said, _ = alone
    assert said["cpp"] == 0


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported))


def test_items_without_private_codes_are_rebuilt_from_the_shared_ones(codec, loaded):
    codes = codec.model.encode(image=codec.items["image"][:2])
    private = np.array(codes.private)
    private[1] = -1
    found = loaded.signatures["decode_image"](shared=codes.shared, private=tf.constant(private))["image"]
    both = codec.model.decode(codes, "image")
    alone = codec.model.decode(codes._replace(private=None), "image")
    assert np.abs(both[1] - alone[1]).max() > 1e-3
    np.testing.assert_allclose(found, np.stack([both[0], alone[1]]), atol=1e-5)


@pytest.mark.parametrize(
    "shared, private, said",
    [
        (4, -1, "shared codes lie between 0 and 3"),
        (0, 3, "4 and 11"),
        (0, [-1, 5], "all -1 in an item that has none"),  # some private codes are left out
    ],
)
def test_codes_outside_their_range_are_refused(loaded, shared, private, said):
    decode = loaded.signatures["decode_image"]
    codes = {
        "shared": tf.fill((1, 2), shared),
        "private": tf.tile(tf.reshape(private, (1, -1)), (1, 64))[:, :64],
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        decode(**codes)


@pytest.mark.parametrize("verb", ["encode", "embed"])
@pytest.mark.parametrize(
    "modality, change, said",
    [
        ("image", lambda x: 255 * x, r"divide bytes by 255.*\[2[0-9]"),
        ("image", lambda x: 2 * x - 1, "pictures have values of 0 to 1"),
        ("audio", lambda x: 32768 * x, "divide 16-bit samples by 32768"),
        ("audio", lambda x: x + np.float32(1e30), "1e"),
        ("audio", lambda x: x * np.float32(np.nan), "recordings have values of -1 to 1"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(codec, loaded, verb, modality, change, said):
    items = codec.items[modality][:2]
    call = loaded.signatures[f"{verb}_{modality}"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        call(**{modality: tf.constant(change(items))})
    call(**{modality: tf.constant(items)})


def test_the_facts_beside_it_are_those_of_the_model(codec, exported):
    facts = json.loads((exported / "assets.extra" / "vqmm.json").read_text())
    assert facts["fingerprint"] == codebook_fingerprint(codec.model)
    assert check_config(facts["config"]) == codec.config
    assert facts["audio"] == {
        "sample_rate": 2000,
        "samples": 1024,
        "channels": 1,
        "values": [-1.0, 1.0],
        "accepted": [-2.0, 2.0],
        "frames": 32,
        "hop_length": 32,
        "mels": 16,
    }
    assert facts["image"]["values"] == [0.0, 1.0] and facts["values_checked"]
    assert facts["signatures"]["encode_image"] == {
        "inputs": {"image": {"dtype": "float32", "shape": [None, 16, 16, 1]}},
        "outputs": {
            "shared": {"dtype": "int32", "shape": [None, 2]},
            "private": {"dtype": "int32", "shape": [None, 64]},
        },
    }
    assert "label" not in json.dumps({key: value for key, value in facts.items() if key != "config"})


def test_a_gan_on_the_grid_without_private_codes(tiny_config, tiny_data, tmp_path):
    tree = tiny_config.model_dump(mode="json")
    tree["model"].update(kind="vqgan", layout="grid")
    tree["model"]["quantizer"].update(image=0, audio=0)
    tree["model"]["discriminator"].update(filters=[8, 8], audio_scales=1)
    tree["loss"]["perceptual"] = 0
    codec = codec_of(check_config(tree), tiny_data)
    place = tmp_path / "out"
    write_signatures(codec.model, tensor_signatures(codec.model, verbs=("encode", "decode")), place)
    loaded = tf.saved_model.load(str(place))
    saved = {name for name, _ in tf.train.list_variables(str(place / "variables" / "variables"))}
    used = sum(
        len(part.variables) for part in (*codec.model.encoders.values(), *codec.model.decoders.values())
    )
    assert used < len(saved) < used + 15 < len(codec.model.variables)  # no discriminators
    for modality, items in codec.items.items():
        codes = codec.model.encode(**{modality: items}, fine=False)
        assert codes.private is None
        found = loaded.signatures[f"encode_{modality}"](tf.constant(items))
        assert set(found) == {"shared"}
        np.testing.assert_array_equal(found["shared"], codes.shared)
        rebuilt = loaded.signatures[f"decode_{modality}"](shared=codes.shared)
        name = "log_mel" if modality == "audio" else "image"
        np.testing.assert_allclose(
            rebuilt[name], codec.model.decode(Codes(codes.shared), modality), atol=1e-5
        )


@pytest.fixture
def stubbed(monkeypatch):
    """Writing without tracing."""
    monkeypatch.setattr(saved_model, "serving_signatures", lambda model, config, pixels: {})
    monkeypatch.setattr(saved_model, "write_signatures", lambda model, signatures, folder: folder.mkdir())


def test_versions_count_up(codec, stubbed, tmp_path):
    made = [write_saved_model(codec.model, codec.config, tmp_path).name for _ in range(2)]
    (tmp_path / "11").mkdir()
    (tmp_path / "notes").mkdir()
    assert made == ["1", "2"] and write_saved_model(codec.model, codec.config, tmp_path).name == "12"


def test_a_version_is_there_whole_or_not_at_all(codec, stubbed, monkeypatch, tmp_path):
    seen = []

    def full(*args):
        seen.extend(path.name for path in tmp_path.iterdir() if path.name.isdecimal())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_model, "write_warmup", full)
    with pytest.raises(UserError, match="cannot write .*No space"):
        write_saved_model(codec.model, codec.config, tmp_path)
    assert seen == [] and [path.name for path in tmp_path.iterdir()] == ["lock"]
