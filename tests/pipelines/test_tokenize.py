import json

import numpy as np
import pytest

from vqmm.encoding import codebook_fingerprint, encode_split
from vqmm.tokens import load_tokens
from vqmm.training.run_folder import open_run


def test_prepared_data_gives_a_file_for_each_modality_and_split(verb, tiny_run, tiny_data, tmp_path):
    said = verb(
        "tokenize", "--run", tiny_run, "--data", tiny_data.folder, "--split", "test", "validation",
        "--out", tmp_path / "t", "--json",
    )  # fmt: skip
    assert said.status == 0, said
    opened = open_run(tiny_run)
    names = {f"{modality}-{split}.npz" for modality in ("audio", "image") for split in ("test", "validation")}
    assert {p.name for p in (tmp_path / "t").iterdir()} == names
    for name in names:
        modality, split = name.removesuffix(".npz").split("-")
        tokens = load_tokens(tmp_path / "t" / name, codebook_fingerprint(opened.model))
        expected = encode_split(opened.model, tiny_data, opened.config, split, modality)
        np.testing.assert_array_equal(tokens.shared, expected.shared)
        np.testing.assert_array_equal(tokens.private, expected.private)
        assert tokens.ids.tolist() == expected.ids.tolist() and tokens.modality == modality
        np.testing.assert_array_equal(tokens.labels, expected.labels)
    lengths = tiny_data.split("test").recordings.lengths
    np.testing.assert_array_equal(load_tokens(tmp_path / "t" / "audio-test.npz").sizes[:, 0], lengths)
    files = json.loads(said.out)["files"]
    assert {file["path"] for file in files} == {str(tmp_path / "t" / name) for name in names}
    assert all(file["items"] == 8 and file["shared"] == 2 for file in files)


def test_files_go_into_one_file_or_into_one_each(verb, tiny_run, tiny_data, tmp_path):
    clips = [tiny_data.folder.parent / f"test{n}.wav" for n in range(3)]
    assert verb("tokenize", "--run", tiny_run, "--audio", *clips, "--out", tmp_path / "a.npz").status == 0
    assert verb("tokenize", "--run", tiny_run, "--audio", *clips, "--out", tmp_path / "each").status == 0
    whole = load_tokens(tmp_path / "a.npz")
    assert whole.ids.tolist() == [str(clip) for clip in clips] and whole.labels is None
    for n, clip in enumerate(clips):
        alone = load_tokens(tmp_path / "each" / f"{clip.stem}.npz")
        np.testing.assert_array_equal(alone.shared[0], whole.shared[n])


def test_mistakes_are_told_in_one_line(verb, tiny_run, tiny_data, tmp_path):
    clip, bad = tiny_data.folder.parent / "test0.wav", tmp_path / "bad.wav"
    bad.write_text("text")
    run, out = ("--run", tiny_run), ("--out", tmp_path / "o")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "test0.wav").write_bytes(clip.read_bytes())

    def refusal(*args):
        return verb("tokenize", *args).refusal()

    assert "no run folder" in refusal("--run", tmp_path / "none", "--audio", clip, *out)
    assert "bad.wav" in refusal(*run, "--audio", bad, *out)
    assert "no such file" in refusal(*run, "--audio", tmp_path / "none.wav", *out)
    assert "goes with --data" in refusal(*run, "--audio", clip, "--split", "test", *out)
    assert "name a folder" in refusal(*run, "--data", tiny_data.folder, "--out", tmp_path / "o.npz")
    assert "is a file" in refusal(*run, "--audio", clip, "--out", bad)
    twins = (clip, tmp_path / "elsewhere" / "test0.wav")
    assert "two of the files" in refusal(*run, "--audio", *twins, *out)
    assert "unknown split 'tset'" in refusal(*run, "--data", tiny_data.folder, "--split", "tset", *out)
    assert not (tmp_path / "o").exists()


def test_a_run_without_weights_is_told(verb, tiny_run, tiny_data, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_bytes((tiny_run / "config.yaml").read_bytes())
    clip = tiny_data.folder.parent / "test0.wav"
    said = verb("tokenize", "--run", tmp_path / "run", "--audio", clip, "--out", tmp_path / "o")
    assert "neither model.keras nor a checkpoint" in said.refusal()


@pytest.mark.parametrize("name", ["tokenize", "reconstruct", "index", "query"])
def test_help_shows_examples(verb, name):
    said = verb(name, "--help")
    assert said.status == 0 and f"vqmm {name} --run" in said.out
