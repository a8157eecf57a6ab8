"""A prior's training data as token files: the same sequences as those of the data that they were made of."""

import dataclasses

import numpy as np
import pytest

from vqmm.config import Hiding
from vqmm.encoding import encode_split, tokens_of
from vqmm.errors import UserError
from vqmm.models import build_model, layout_of
from vqmm.tokens import load_tokens, save_tokens
from vqmm.training.token_batches import token_batches, token_table
from vqmm.training.token_folder import TokenFolder


@pytest.fixture(scope="module")
def tokenizer(tiny_config):
    return build_model(tiny_config)


@pytest.fixture(scope="module")
def written(tokenizer, tiny_config, tiny_data, tmp_path_factory):
    """Token files of the training and the validation split."""
    folder = tmp_path_factory.mktemp("tokens")
    for split in ("train", "validation"):
        held = tiny_data.split(split)
        for modality, records in (("audio", held.recordings), ("image", held.pictures)):
            encoded = encode_split(tokenizer, tiny_data, tiny_config, split, modality)
            tokens = tokens_of(tokenizer, tiny_config, encoded, records.lengths, tiny_data.labels)
            save_tokens(folder / f"{modality}-{split}.npz", tokens)
    return folder


@pytest.fixture
def own(written, tmp_path):
    """A copy to change."""
    for path in written.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def change(path, **parts):
    save_tokens(path, dataclasses.replace(load_tokens(path), **parts))


def test_batches_are_those_of_the_data(written, tokenizer, tiny_config, tiny_data):
    found = TokenFolder.open(written)
    assert found.labels == tiny_data.labels
    assert found.counts == {
        split: {kind: tiny_data.counts[split][kind] for kind in ("recordings", "pictures")}
        for split in ("train", "validation")
    }
    tables = (
        token_table(tokenizer, tiny_data, tiny_config, "train", 3),
        found.table(layout_of(tokenizer), "label", "train", 3),
    )
    batches = [list(token_batches(table, Hiding(), 8, 1, labelled=0.5).take(5)) for table in tables]
    for ours, theirs in zip(*batches, strict=True):
        for name, part in theirs.items():
            np.testing.assert_array_equal(ours[name], part, err_msg=name)


def test_by_item_the_same_id_makes_a_pair(own, tokenizer):
    names = [f"thing{n}" for n in range(24)]
    change(own / "audio-train.npz", ids=np.array(names))
    change(own / "image-train.npz", ids=np.array(names[::-1]))
    table = TokenFolder.open(own).table(layout_of(tokenizer), "item", "train", 0)
    pairs = table.pairing.epoch(0)
    np.testing.assert_array_equal(pairs.image, 23 - pairs.audio)


def test_one_modality_alone_will_do(own, tokenizer):
    for path in own.glob("image-*"):
        path.unlink()
    found = TokenFolder.open(own)
    table = found.table(layout_of(tokenizer), "label", "train", 0)
    assert table.image is None and found.counts["train"]["pictures"] == 0
    pairs = table.pairing.epoch(0)
    assert sorted(pairs.audio) == list(range(24)) and (pairs.image == -1).all()


def test_the_checksum_is_of_what_the_files_hold(own):
    before = TokenFolder.open(own).checksum
    assert TokenFolder.open(own).checksum == before
    shared = load_tokens(own / "image-validation.npz").shared.copy()
    change(own / "image-validation.npz", shared=shared[::-1] + 1)
    assert TokenFolder.open(own).checksum != before


def test_what_does_not_fit_is_refused(own, tokenizer, tmp_path_factory):
    layout, audio, image = layout_of(tokenizer), own / "audio-train.npz", own / "image-train.npz"

    def refused(words, make=lambda: TokenFolder.open(own)):
        with pytest.raises(UserError) as caught:
            make()
        assert all(word in str(caught.value) for word in (*words, "tokenize")), caught.value

    refused(["no folder", "nowhere"], lambda: TokenFolder.open(own / "nowhere"))
    refused(
        ["neither audio-train.npz nor image-train.npz"],
        lambda: TokenFolder.open(tmp_path_factory.mktemp("x")),
    )
    whole = audio.read_bytes()
    audio.write_bytes(whole[:100])
    refused(["damaged", str(audio)])
    audio.write_bytes(image.read_bytes())
    refused([str(audio), "image tokens"])
    audio.write_bytes(whole)
    first = load_tokens(image)
    change(image, fingerprint="0" * 16)
    refused(["two codebooks", "0" * 16, first.fingerprint, image.name])
    save_tokens(image, first)
    change(image, label_names=("a", "b", "c", "d"))
    refused(["two label names", "('a', 'b', 'c', 'd')"])
    save_tokens(image, first)
    change(image, labels=None)
    refused(
        ["a label in common", "pair_by"], lambda: TokenFolder.open(own).table(layout, "label", "train", 0)
    )
    save_tokens(image, dataclasses.replace(first, private=first.private[:, :-1], grid=None))
    refused(["63 image codes", "64"], lambda: TokenFolder.open(own).table(layout, "label", "train", 0))
    with pytest.raises(UserError, match=f"{first.fingerprint}.*{'f' * 16}"):
        TokenFolder.open(own).check_codebook("f" * 16)
