from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records_of import pictures_of, recordings_of

from vqmm.data.pairing import Pairing, pairing_of, pairs_of_epoch
from vqmm.data.records import Split

GROUPS = st.lists(st.integers(0, 6), max_size=30)


@st.composite
def pairings(draw):
    audio, image = draw(GROUPS), draw(GROUPS)
    if not audio and not image:
        audio = [0]
    seed = draw(st.integers(0, 2**31))
    return np.array(audio, np.int64), np.array(image, np.int64), seed


@given(pairings(), st.integers(0, 50))
def test_an_epoch_shows_everything_and_pairs_within_groups(groups, number):
    audio, image, seed = groups
    pairing = Pairing(audio, image, seed)
    pairs = pairing.epoch(number)
    assert len(pairs.audio) == len(pairs.image) == len(pairing)
    assert set(pairs.audio) - {-1} == set(range(len(audio)))
    assert set(pairs.image) - {-1} == set(range(len(image)))
    for a, i in zip(*pairs, strict=True):
        if a < 0:
            assert image[i] not in audio
        elif i < 0:
            assert audio[a] not in image
        else:
            assert audio[a] == image[i]
    # No more than needed: the larger side of each group comes once, the smaller one evenly.
    sizes = {g: max(np.sum(audio == g), np.sum(image == g)) for g in set(audio) | set(image)}
    assert len(pairing) == sum(sizes.values())
    for groups_of, rows in ((audio, pairs.audio), (image, pairs.image)):
        counts = Counter(int(row) for row in rows if row >= 0)
        for group in set(groups_of):
            of_group = [counts[int(row)] for row in np.flatnonzero(groups_of == group)]
            assert max(of_group) - min(of_group) <= 1


@given(pairings(), st.integers(0, 40), st.integers(1, 17))
def test_a_batch_is_a_piece_of_the_epochs_laid_end_to_end(groups, step, size):
    audio, image, seed = groups
    pairing = Pairing(audio, image, seed)
    epochs = (step + 1) * size // len(pairing) + 1
    stream = np.concatenate([np.stack(pairing.epoch(e)) for e in range(epochs)], axis=1)
    fresh = Pairing(audio, image, seed).batch(step, size)  # asked for nothing before
    np.testing.assert_array_equal(np.stack(fresh), stream[:, step * size : (step + 1) * size])
    np.testing.assert_array_equal(np.stack(pairing.batch(step, size)), np.stack(fresh))


def test_partners_are_drawn_afresh():
    groups = np.zeros(50, np.int64)
    pairing = Pairing(groups, groups, seed=3)
    partners = [dict(zip(*pairing.epoch(e), strict=True)) for e in range(20)]
    same = np.mean(
        [[p[row] == q[row] for row in range(50)] for p, q in zip(partners, partners[1:], strict=False)]
    )
    assert same < 0.1  # by chance 1 in 50


def test_the_order_is_shuffled_and_the_seed_decides():
    groups = np.arange(200)
    first, again, other = (Pairing(groups, groups, seed).epoch(0).audio for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.mean(first == other) < 0.1
    assert np.mean(first == np.sort(first)) < 0.1
    plain = Pairing(groups, groups, 1).epoch(0, shuffle=False).audio
    np.testing.assert_array_equal(plain, groups)


def test_nothing_to_pair_is_refused():
    with pytest.raises(ValueError, match="nothing to pair"):
        Pairing(np.zeros(0, np.int64), np.zeros(0, np.int64), 0)


def test_by_label_pairs_labels_and_keeps_unknown_ones_by_item():
    split = Split(
        recordings_of(items=[0, 1, 2, 3], labels=[5, 5, -1, 7]),
        pictures_of(items=[0, 4, 2, 6], labels=[5, 5, -1, 8]),
    )
    pairs = pairs_of_epoch(split, "label", seed=0, epoch=0, shuffle=False)
    met = set(zip(pairs.audio.tolist(), pairs.image.tolist(), strict=True))
    assert (2, 2) in met  # label unknown: the same item
    assert (3, -1) in met  # no picture has label 7
    assert (-1, 3) in met
    rest = met - {(2, 2), (3, -1), (-1, 3)}
    assert {a for a, _ in rest} == {0, 1} == {i for _, i in rest}


def test_by_item_looks_at_items_alone():
    split = Split(recordings_of(items=[3, 3], labels=[0, 0]), pictures_of(items=[3, 4], labels=[1, 0]))
    pairs = pairing_of(split, "item", 0).epoch(0, shuffle=False)
    assert sorted(zip(*pairs, strict=True)) == [(-1, 1), (0, 0), (1, 0)]
