"""All verbs take options with values in the same way."""

import argparse
import importlib

import pytest

# Enough of each verb that its other required options are there.
VERBS = {
    "vqmm.commands.train": ("--config", "c", "--data", "d", "--run", "r"),
    "vqmm.commands.prepare": ("--manifest", "m", "--config", "c", "--out", "o"),
    "vqmm.commands.compare": ("c", "--data", "d", "--out", "o"),
    "benchmarks.memory": (),
    "benchmarks.profile": (),
}
LISTS = {
    "vqmm.commands.tokenize": ("--split", ("--run", "r", "--data", "d", "--out", "o")),
    "vqmm.commands.index": ("--split", ("--out", "o")),
}


def parsed(module, *words):
    parser = argparse.ArgumentParser()
    importlib.import_module(module).add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize("verb", VERBS)
def test_set_takes_several_values_and_may_be_repeated(verb):
    forms = (
        ("--set", "a.b=1", "c=2", "d=3"),
        ("--set", "a.b=1", "--set", "c=2", "--set", "d=3"),
        ("--set", "a.b=1", "--set", "c=2", "d=3"),
    )
    for form in forms:
        assert parsed(verb, *VERBS[verb], *form).set == ["a.b=1", "c=2", "d=3"], form
    assert parsed(verb, *VERBS[verb]).set == []


@pytest.mark.parametrize("verb", LISTS)
def test_lists_may_be_repeated_and_nothing_is_dropped(verb):
    option, given = LISTS[verb]
    for form in ((option, "train", "test"), (option, "train", option, "test")):
        assert parsed(verb, *given, *form).split == ["train", "test"]


def test_configs_of_compare_may_stand_after_set(tmp_path):
    from vqmm.commands.compare import _configs

    args = parsed(
        "vqmm.commands.compare",
        "--data",
        "d",
        "--out",
        "o",
        "--set",
        "seed=7",
        "train.steps=2",
        "configs/a.yaml",
    )
    assert list(_configs(args)) == ["a"] and args.set == ["seed=7", "train.steps=2"]
