"""An index says how many codes its items use, and warns where they cannot be told apart."""

import json

import numpy as np
import pytest

from vqmm.retrieval import FaissIndex
from vqmm.retrieval.code_usage import CodeUsage

TABLE = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


def index_of(codes):
    index = FaissIndex(TABLE, 2, "f" * 16)
    index.add(codes, [str(n) for n in range(len(codes))], "audio")
    return index


@pytest.mark.parametrize(
    ("codes", "text", "warned"),
    [
        ([[5, 5]] * 3, "codes in use: 1 of 16", "every query is answered alike"),
        ([[5, 6]] * 3, "codes in use: 2 of 16", "every query is answered alike"),
        ([[5, 6], [6, 5], [6, 6]], "codes in use: 2 of 16", "can hardly be told apart"),
        ([[1, 2], [3, 4], [1, 4]], "codes in use: 4 of 16", None),
        ([[5, 5]], "codes in use: 1 of 16", None),  # one item is alike itself alone
    ],
)
def test_codes_in_use_are_counted_and_too_few_are_warned_of(codes, text, warned, tmp_path):
    index = index_of(codes)
    assert str(index.code_usage()) == text
    warning = index.code_usage().warning
    assert warning is None if warned is None else warning.startswith(text) and warned in warning
    index.save(tmp_path)
    assert FaissIndex.open(tmp_path).code_usage() == index.code_usage()
    index.add([[7, 8], [9, 10]], ["x", "y"], "image")
    assert index.code_usage().in_use == len(np.unique([*np.ravel(codes), 7, 8, 9, 10]))
    index.remove(["x", "y"])
    assert str(index.code_usage()) == text


def test_small_codebooks_may_use_all_they_have():
    assert CodeUsage(in_use=2, codes=2, items=9, are_alike=False).warning is None


def test_an_index_of_version_0_1_is_counted_when_it_is_asked(tmp_path):
    index_of([[1, 2], [3, 4]]).save(tmp_path)
    pointer = json.loads((tmp_path / "index.json").read_text())
    del pointer["code_usage"]
    (tmp_path / "index.json").write_text(json.dumps(pointer))
    assert FaissIndex.open(tmp_path).code_usage() == CodeUsage(4, 16, 2, False)
