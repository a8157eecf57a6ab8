"""Token files by Beam that fail half-way; the work is done here, one shard after the other."""

import pytest

from vqmm import beam_tokens
from vqmm.config import Config
from vqmm.data.prepare import prepare
from vqmm.errors import UserError
from vqmm.lock import hold
from vqmm.tokens import load_tokens
from vqmm.training.model_file import save_model
from vqmm.training.run_folder import open_run


@pytest.fixture(scope="module")
def shards(tiny_config, tiny_data, tmp_path_factory):
    """The tiny data in shards of three."""
    tree = tiny_config.model_dump()
    tree["data"] |= {"records_per_shard": 3}
    manifest, out = tiny_data.folder.parent / "manifest.csv", tmp_path_factory.mktemp("shards") / "data"
    return prepare(manifest, Config.model_validate(tree), out, workers=1, progress=False).dataset


@pytest.fixture
def tokenize(verb, tiny_run, shards, tmp_path):
    def call(run=tiny_run, **_):
        given = ("--run", run, "--data", shards.folder, "--split", "test", "--out", tmp_path / "out")
        return verb("tokenize", *given, "--runner", "beam")

    return call


@pytest.fixture
def worked(monkeypatch):
    """Names of the shards that were encoded; the work stops before those of which it is told."""
    names, whole = [], beam_tokens.encode_shard

    def encode(work, name):
        names.append(name)
        whole(work, name)

    def run_here(work, elements, options):
        for name in elements:
            if name in names.stop_before:
                raise UserError("Beam failed; what is done is kept, run it again")
            work(name)

    class Names(list):
        stop_before = ()

    names = Names()
    monkeypatch.setattr(beam_tokens, "encode_shard", encode)
    monkeypatch.setattr(beam_tokens, "run_by_beam", run_here)
    return names


def test_shards_that_are_done_are_kept(tokenize, worked, shards, verb, tiny_run, tmp_path):
    audio, image = (shards.shard_names(modality, "test") for modality in ("audio", "image"))
    assert len(audio) == len(image) == 3
    worked.stop_before = audio[2:]
    assert "what is done is kept" in tokenize().refusal()
    worked.stop_before = image[1:]
    assert "what is done is kept" in tokenize().refusal()
    worked.stop_before = ()
    assert tokenize().status == 0
    assert worked == [*audio, *image]  # each of them once
    plain = ("--run", tiny_run, "--data", shards.folder, "--split", "test", "--out", tmp_path / "plain")
    assert verb("tokenize", *plain).status == 0
    names = ["audio-test.npz", "image-test.npz"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_parts_of_another_model_are_not_joined(tokenize, worked, shards, tiny_run, tmp_path):
    """Though its codebook be the same: the encoder makes the codes."""
    audio = shards.shard_names("audio", "test")
    worked.stop_before = audio[2:]
    tokenize().refusal()
    opened = open_run(tiny_run)
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_bytes((tiny_run / "config.yaml").read_bytes())
    kernel = opened.model.encoders["audio"].trainable_variables[0]
    kernel.assign(-kernel)
    save_model(opened.model, other / "model.keras")
    worked.stop_before = ()
    worked.clear()
    assert tokenize(other).status == 0
    assert worked[:3] == audio
    assert len(load_tokens(tmp_path / "out" / "audio-test.npz")) == 8
    assert not list((tmp_path / "out").glob(".parts-*"))  # nor do they stay


def test_a_second_command_at_the_same_parts_is_refused(tokenize, worked, shards, tmp_path):
    worked.stop_before = shards.shard_names("audio", "test")
    tokenize().refusal()
    (parts,) = (tmp_path / "out").glob(".parts-audio-test-*")
    with hold(parts / "lock"):
        assert f"{parts} is in use by process" in tokenize().refusal()
