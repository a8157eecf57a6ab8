"""Slurm's variables, without Slurm; TensorFlow's own parser is the judge where it is right."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import (
    expand_hostlist,
    expand_tasks_per_node,
)

from vqmm.config import Train
from vqmm.errors import UserError
from vqmm.training.cluster import Task, cluster_text, task_of
from vqmm.training.slurm import _counts, _hosts, slurm_config

MANY = Train(strategy="multi_worker")


def step(place, nodes, tasks):
    return {
        "SLURM_PROCID": str(place),
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_TASKS_PER_NODE": tasks,
    }


def test_tasks_fill_one_machine_after_the_other_in_slurms_order():
    hosts = ["n9:8888", "n9:8889", "n10:8888", "n10:8889", "gpu1:8888"]
    for place in range(5):
        environment = step(place, "n[9-10],gpu1", "2(x2),1")
        assert slurm_config(environment) == {
            "cluster": {"worker": hosts},
            "task": {"type": "worker", "index": place},
        }
        assert task_of(MANY, environment) == Task(place, 5)


def test_tf_config_comes_first_and_outside_of_slurm_there_is_nothing():
    given = json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}})
    assert cluster_text({**step(1, "n[1-2]", "1(x2)"), "TF_CONFIG": given}) == given
    assert cluster_text({}) == "" and slurm_config({"SLURM_PROCID": "0"}) is None
    with pytest.raises(UserError, match="needs the environment variable TF_CONFIG"):
        task_of(MANY, {})


names = st.from_regex(r"[a-z]{1,3}", fullmatch=True)
numbers = st.tuples(st.integers(0, 120), st.integers(0, 4), st.integers(1, 4)).map(
    lambda t: f"{t[0]:0{t[2]}d}" if not t[1] else f"{t[0]:0{t[2]}d}-{t[0] + t[1]:0{t[2]}d}"
)
entries = st.one_of(names, st.builds("{}[{}]".format, names, st.lists(numbers, min_size=1).map(",".join)))


@given(st.lists(entries, min_size=1, max_size=4).map(",".join))
def test_host_lists_are_read_as_tensorflow_reads_them(text):
    assert _hosts(text) == expand_hostlist(text)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5)), min_size=1))
def test_task_counts_are_read_as_tensorflow_reads_them(pairs):
    text = ",".join(f"{count}(x{times})" if times > 1 else str(count) for count, times in pairs)
    assert _counts(text) == expand_tasks_per_node(text)


@pytest.mark.parametrize("wrong", [step(2, "n[1-2]", "1(x2)"), step(0, "n[1-2]", "1"), step("x", "n1", "1")])
def test_what_does_not_fit_is_told(wrong):
    with pytest.raises(UserError, match="do not fit each other; start with srun"):
        task_of(MANY, wrong)
