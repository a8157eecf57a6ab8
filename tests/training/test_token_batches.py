"""Training items of a prior: pairs, the side that gives the shared codes, what is missing."""

import numpy as np
import pytest

from vqmm.config import Hiding
from vqmm.data.batches import WHOLE, Part
from vqmm.data.pairing import Pairing
from vqmm.encoding import Encoded
from vqmm.models import TokenLayout
from vqmm.training.token_batches import TokenTable, token_batches

LAYOUT = TokenLayout.from_config([["shared", 2, 0, 40], ["image", 3, 40, 100], ["audio", 4, 100, 200]])


def side(modality, count, first, private):
    rows = np.arange(count)
    return Encoded(
        modality,
        np.array([f"{modality}{n}" for n in rows], object),
        (rows % 2).astype("int32"),
        rows,
        np.zeros((count, 2, 4), "float32"),
        np.stack([first + rows, first + rows], 1).astype("int32"),
        (private + rows[:, None] * np.ones(LAYOUT.slices()[modality].stop, int)[: 3 + (modality == "audio")]),
    )


@pytest.fixture(scope="module")
def table():
    audio, image = side("audio", 6, 0, 100), side("image", 4, 20, 40)
    return TokenTable(LAYOUT, audio, image, Pairing(audio.labels, image.labels, seed=0))


def test_shared_codes_come_from_the_side_that_is_drawn(table):
    rows = np.array([0, 5]), np.array([1, 3])
    tokens, there, labels = table.sequences(*rows, np.array([True, False]))
    assert tokens.tolist() == [[0, 0, 41, 41, 41, 100, 100, 100, 100], [23, 23, 43, 43, 43, *[105] * 4]]
    assert there.all() and labels.tolist() == [0, 1]


def test_an_item_without_a_side_takes_the_other(table):
    tokens, there, _ = table.sequences(np.array([-1, 2]), np.array([1, -1]), np.array([True, False]))
    assert tokens[:, :2].tolist() == [[21, 21], [2, 2]]
    assert there.tolist() == [[True, True, False], [True, False, True]]


def test_batches_follow_from_the_seed_and_their_number(table):
    def taken(start, count, seed=3):
        batches = token_batches(table, Hiding(), 5, seed, start, labelled=0.5).take(count)
        return [{name: part.numpy() for name, part in batch.items()} for batch in batches]

    whole, later = taken(0, 3), taken(2, 1)
    assert all(np.array_equal(whole[2][name], later[0][name]) for name in later[0])
    assert any((whole[0][name] != whole[1][name]).any() for name in whole[0])
    assert (whole[0]["tokens"] != taken(0, 1, seed=4)[0]["tokens"]).any()
    many = np.concatenate([batch["tokens"][:, 0] for batch in taken(0, 60)])
    assert abs((many < 20).mean() - 0.5) < 0.1  # either side, as often
    labels = np.concatenate([batch["label"] for batch in taken(0, 60)])
    assert abs((labels < 0).mean() - 0.5) < 0.1 and set(labels) == {-1, 0, 1}


def test_the_parts_of_all_processes_are_the_batch(table):
    whole, *parts = (
        next(iter(token_batches(table, Hiding(), 6, 3, part=part)))
        for part in (WHOLE, Part(0, 2), Part(1, 2))
    )
    for name, value in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), value, err_msg=name)
