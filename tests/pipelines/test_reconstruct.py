import dataclasses

import numpy as np
import pytest
import soundfile
from PIL import Image

from vqmm.audio import log_mel_to_audio
from vqmm.data.file_records import file_records
from vqmm.encoding import encode_records
from vqmm.models import Codes
from vqmm.tokens import load_tokens, save_tokens
from vqmm.training.run_folder import open_run


@pytest.fixture(scope="module")
def opened(tiny_run):
    return open_run(tiny_run)


@pytest.fixture(scope="module")
def files(tiny_data):
    folder = tiny_data.folder.parent
    return {"audio": folder / "test1.wav", "image": folder / "test1.png"}


def decoded(opened, path, modality, to, private=True):
    records = file_records([path], modality, opened.config.data)
    encoded = encode_records(opened.model, records, opened.config, modality)
    return np.asarray(opened.model.decode(Codes(encoded.shared, encoded.private if private else None), to))[0]


def picture(path):
    return np.asarray(Image.open(path)).astype(int)


def as_pixels(values):
    return np.round(values[..., 0] * 255).astype(int)


def test_a_picture_is_rebuilt_from_its_codes(verb, tiny_run, opened, files, tmp_path):
    base = ("reconstruct", "--run", tiny_run, "--image", files["image"])
    assert verb(*base, "--out", tmp_path / "a.png").status == 0
    assert verb(*base, "--shared-only", "--out", tmp_path / "b.png").status == 0
    whole, gist = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    np.testing.assert_array_equal(whole, as_pixels(decoded(opened, files["image"], "image", "image")))
    np.testing.assert_array_equal(gist, as_pixels(decoded(opened, files["image"], "image", "image", False)))
    assert (whole != gist).any()


def test_a_recording_is_rebuilt_as_long_as_it_was(verb, tiny_run, opened, files, tmp_path):
    assert verb("reconstruct", "--run", tiny_run, "--audio", files["audio"], "--out", tmp_path / "a.wav").out
    audio, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == 2000 and audio.shape == (920,)  # of a window of 1024, in which it was centred
    log_mel = decoded(opened, files["audio"], "audio", "audio")[..., 0]
    expected = log_mel_to_audio(log_mel, sample_rate=2000, n_fft=64, hop_length=32)[52 : 52 + 920]
    np.testing.assert_allclose(audio, expected, atol=1 / 32767)


def test_a_recording_becomes_a_picture_and_back_by_its_shared_codes(verb, tiny_run, opened, files, tmp_path):
    out = tmp_path / "said.png"
    assert (
        verb(
            "reconstruct", "--run", tiny_run, "--audio", files["audio"], "--to", "image", "--out", out
        ).status
        == 0
    )
    expected = as_pixels(decoded(opened, files["audio"], "audio", "image", private=False))
    np.testing.assert_array_equal(picture(out), expected)
    out = tmp_path / "seen.wav"
    assert (
        verb(
            "reconstruct", "--run", tiny_run, "--image", files["image"], "--to", "audio", "--out", out
        ).status
        == 0
    )
    assert soundfile.info(out).frames == 1024


def test_tokens_in_between_give_the_same_file(verb, tiny_run, files, tmp_path):
    first, tokens, second = tmp_path / "a.png", tmp_path / "t.npz", tmp_path / "b.png"
    base = ("reconstruct", "--run", tiny_run)
    assert verb(*base, "--image", files["image"], "--tokens", tokens, "--out", first).status == 0
    assert load_tokens(tokens).ids.tolist() == [str(files["image"])]
    assert verb(*base, "--from-tokens", tokens, "--out", second).status == 0
    assert first.read_bytes() == second.read_bytes()


def test_a_split_is_rebuilt_into_a_folder(verb, tiny_run, tiny_data, tmp_path):
    said = verb(
        "reconstruct", "--run", tiny_run, "--data", tiny_data.folder, "--limit", 2, "--out", tmp_path / "o"
    )
    assert said.status == 0 and "4 files" in said.out
    found = sorted(p.relative_to(tmp_path / "o").parts[0] + p.suffix for p in (tmp_path / "o").rglob("*.*"))
    assert found == ["audio.wav", "audio.wav", "image.png", "image.png"]


def test_mistakes_are_told_in_one_line(verb, tiny_run, files, tmp_path):
    run = ("--run", tiny_run)

    def refusal(*args):
        return verb("reconstruct", *run, *args).refusal()

    assert "rebuilt audio is written as .wav" in refusal(
        "--audio", files["audio"], "--out", tmp_path / "a.png"
    )
    assert "is a folder" in refusal("--audio", files["audio"], "--out", tmp_path)
    assert "--tokens writes" in refusal(
        "--from-tokens", tmp_path / "t.npz", "--tokens", tmp_path / "u.npz", "--out", tmp_path / "a.wav"
    )
    assert "no such token file" in refusal("--from-tokens", tmp_path / "t.npz", "--out", tmp_path / "a.wav")
    (tmp_path / "bad.png").write_bytes(files["image"].read_bytes()[:60])
    assert "bad.png" in refusal("--image", tmp_path / "bad.png", "--out", tmp_path / "a.png")
    assert not list(tmp_path.glob("a.*"))


def test_tokens_of_another_codebook_are_refused(verb, tiny_run, files, tmp_path):
    path = tmp_path / "t.npz"
    verb("tokenize", "--run", tiny_run, "--image", files["image"], "--out", path)
    tokens = load_tokens(path)
    save_tokens(path, dataclasses.replace(tokens, fingerprint="0" * 16))
    said = verb("reconstruct", "--run", tiny_run, "--from-tokens", path, "--out", tmp_path / "a.png")
    assert "0" * 16 in said.refusal() and tokens.fingerprint in said.err
