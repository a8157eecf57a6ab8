"""Relevance is by label or by item, and one rule decides for evaluation, validation and the report."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vqmm.metrics import relevance


def side(labels, items):
    return SimpleNamespace(labels=np.array(labels, "int64"), items=np.array(items, "int64"))


def test_labels_decide_where_all_items_have_one():
    found = relevance(side([0, 1, 1], [0, 1, 2]), side([1, 0], [0, 1]))
    assert found.kind == "label" and found.note == ""
    assert found.audio.tolist() == [0, 1, 1] and found.image.tolist() == [1, 0]


def test_one_label_of_one_item_does_not_drop_the_others():
    labels = [3, *[-1] * 9]
    found = relevance(side(labels, range(10)), side(labels, range(10)))
    assert found.kind == "item" and found.covered == 20
    assert found.note.startswith("2 of 20 items have a label: found is what belongs to the same item")


def test_one_unlabelled_item_is_left_out_and_reported():
    labels = [*[0, 1] * 5, -1]
    found = relevance(side(labels, range(11)), side(labels, range(11)))
    assert found.kind == "label" and found.audio[-1] == -1 and found.covered == 20
    assert found.note.startswith("20 of 22 items have a label: found is what has the same label, and items")


def test_labels_decide_where_items_are_no_pairs():
    found = relevance(side([0, *[-1] * 9], range(10)), side([0, *[-1] * 9], range(50, 60)))
    assert found.kind == "label" and found.covered == 2 and "2 of 20" in found.note


def test_classes_of_one_modality_alone_do_not_count():
    found = relevance(side([0] * 5, range(5)), side([1] * 5, range(5)))
    assert (found.kind, found.covered, found.note) == ("item", 10, "")


def test_nothing_in_common_is_by_item_and_covers_nothing():
    found = relevance(side([-1, -1], [0, 1]), side([-1], [7]))
    assert (found.kind, found.covered, found.note) == ("item", 0, "")


ITEMS = st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 6)), min_size=1, max_size=12)


@settings(max_examples=200)
@given(ITEMS, ITEMS)
def test_the_choice_covers_half_of_the_items_or_the_most(audio, image):
    sides = [side(*zip(*items, strict=True)) for items in (audio, image)]
    found = relevance(*sides)

    def covered(name):
        left, right = (getattr(one, name).tolist() for one in sides)
        return sum(g >= 0 and g in right for g in left) + sum(g >= 0 and g in left for g in right)

    total = len(audio) + len(image)
    assert found.covered == covered("labels" if found.kind == "label" else "items")
    assert found.covered >= min(total / 2, max(covered("labels"), covered("items")))
    some = 0 < sum(label >= 0 for label, _ in (*audio, *image)) < total
    assert bool(found.note) == some
