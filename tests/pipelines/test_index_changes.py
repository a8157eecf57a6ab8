"""Indexing data that changed, and data whose codes say little, through the commands."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from vqmm.data.records import Split
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.model_index import add_split, index_for
from vqmm.training.run_folder import open_run


@pytest.fixture(scope="module")
def opened(tiny_run):
    return open_run(tiny_run)


def with_splits(dataset, **splits):
    """The data with other splits: `test="validation"` has there what was in validation."""
    empty = Split(*(records_of_none(part) for part in dataset.split("test")))
    return SimpleNamespace(
        check=dataset.check,
        labels=dataset.labels,
        counts=dataset.counts,
        split=lambda name: dataset.split(splits[name]) if name in splits else empty,
    )


def records_of_none(records):
    none = {name: getattr(records, name)[:0] for name in ("ids", "items", "labels", "captions", "lengths")}
    return type(records)(**none, data=[], extra=[])


@pytest.mark.parametrize("both", [False, True])
def test_items_whose_split_changed_stand_once(opened, tiny_data, both):
    index = index_for(opened.model, opened.config)
    add_split(index, opened.model, with_splits(tiny_data, test="test"), opened.config, "test")
    assert index.count() == 16
    after = {"train": "test", "test": "test"} if both else {"train": "test"}
    moved = with_splits(tiny_data, **after)
    assert add_split(index, opened.model, moved, opened.config, "train") == {"audio": 8, "image": 8}
    assert index.count(None, {"split": "train"}) == 16
    assert index.count(None, {"split": "test"}) == (16 if both else 0)  # data may hold an item in both


def test_few_codes_in_use_are_warned_of_at_index_and_query(verb, tiny_run, tiny_data, opened, tmp_path):
    folder = tmp_path / "index"
    index = index_for(opened.model, opened.config)
    names = [str(n) for n in range(6)]
    index.add(np.zeros((6, 2), int), names, "image", "test", fine=np.zeros((6, 2), int))
    index.save(folder)
    done = verb("index", "--out", folder, "--compact")
    assert done.status == 0 and "codes in use: 1 of 4" in done.out
    assert done.err.startswith("index: warning: codes in use: 1 of 4: all items have the same codes")
    clip = ("--audio", tiny_data.folder.parent / "test3.wav")
    shown = verb("query", "--run", tiny_run, "--index", folder, *clip)
    assert shown.err.startswith("query: warning: codes in use: 1 of 4") and shown.err.count("\n") == 1
    assert [row.split()[1] for row in shown.out.splitlines()[4:10]] == ["1"] * 6  # all of one rank
    answer = json.loads(verb("query", "--run", tiny_run, "--index", folder, *clip, "--json").out)
    assert answer["query"]["codes_in_use"] == 1 and {hit["rank"] for hit in answer["hits"]} == {1}
    facts = json.loads(verb("index", "--out", folder, "--compact", "--json").out)
    assert (facts["codes_in_use"], facts["codes"]) == (1, 4)


def test_an_index_that_says_enough_gives_no_warning(verb, tiny_run, tiny_data, tmp_path):
    base = ("index", "--run", tiny_run, "--data", tiny_data.folder, "--split", "test")
    done = verb(*base, "--out", tmp_path / "i")
    used = len(np.unique(FaissIndex.open(tmp_path / "i").codes()))
    assert done.status == 0 and f"codes in use: {used} of 4" in done.out
    assert ("warning" in done.err) == (used <= 1)


def test_tied_hits_are_saved_under_one_rank(verb, tiny_run, tiny_data, opened, tmp_path):
    pictures = tiny_data.split("test").pictures
    index = index_for(opened.model, opened.config)
    alike, fine = np.tile([[0, 1]], (3, 1)), np.zeros((3, 2), int)
    index.add(alike, pictures.ids[:3].tolist(), "image", "test", fine=fine)
    index.save(tmp_path / "i")
    clip = ("--audio", tiny_data.folder.parent / "test3.wav")
    more = ("--data", tiny_data.folder, "--save", tmp_path / "hits", "--json")
    hits = json.loads(verb("query", "--run", tiny_run, "--index", tmp_path / "i", *clip, *more).out)["hits"]
    names = {path.name[:4] for path in (tmp_path / "hits").iterdir()}
    assert names == {"001-"} and len({hit["saved"] for hit in hits}) == 3
