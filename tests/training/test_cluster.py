"""Who a process is, without starting any."""

import json
import os
import re
import subprocess
import textwrap
import types
from pathlib import Path

import kubernetes_validate
import pytest
import tensorflow as tf
import yaml

from vqmm.config import Train
from vqmm.errors import UserError
from vqmm.shipped_configs import config_names
from vqmm.training import prior_loop, vocoder_loop
from vqmm.training.cluster import Agreed, Cluster, Task, task_of
from vqmm.training.loop import Training
from vqmm.training.prior_loop import PriorTraining
from vqmm.training.run_folder import RunFolder
from vqmm.training.strategy import make_strategy
from vqmm.training.vocoder_loop import VocoderTraining

ROOT = Path(__file__).parents[2]
MANY = Train(strategy="multi_worker")


def told(kind, index, **cluster):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_processes_are_numbered_from_the_chief_on():
    two = {"worker": ["a:1", "b:1"]}
    assert [task_of(MANY, told("worker", i, **two)) for i in (0, 1)] == [Task(0, 2), Task(1, 2)]
    named = {"chief": ["c:1"], **two}
    assert task_of(MANY, told("chief", 0, **named)) == Task(0, 3)
    assert task_of(MANY, told("worker", 1, **named)) == Task(2, 3)
    assert [task_of(MANY, told("worker", i, **two)).chief for i in (0, 1)] == [True, False]


def test_other_strategies_know_nothing_of_it():
    assert task_of(Train(strategy="mirrored"), told("worker", 1, worker=["a:1", "b:1"])) == Task(0, 1)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TF_CONFIG": "{not json"},
        {"TF_CONFIG": "[]"},
        {"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'},
        told("worker", 2, worker=["a:1", "b:1"]),
        told("ps", 0, ps=["a:1"], worker=["b:1"]),
    ],
)
def test_what_does_not_say_who_this_is_is_refused_with_an_example(environment):
    with pytest.raises(UserError, match=r"TF_CONFIG, which is .*give every process .*'\{\"cluster\"") as told:
        task_of(MANY, environment)
    assert repr(environment.get("TF_CONFIG", "")) in str(told.value)


def test_devices_are_not_chosen_for_many_processes(monkeypatch):
    for name, value in told("worker", 0, worker=["a:1", "b:1"]).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="train.devices=.*CUDA_VISIBLE_DEVICES"):
        make_strategy(Train(strategy="multi_worker", devices=("GPU:0",)))


@pytest.mark.parametrize("total, told", [(0, 0), (2, 2), (15, 15), (4, 15), (17, 15), (30, 15)])
def test_of_several_signals_all_take_one_that_stops(total, told, monkeypatch):
    cluster = Cluster(None, Task(1, 3))
    monkeypatch.setattr(cluster, "_summed", lambda numbers: [total, 5, 0])
    assert cluster.agree(None, 9, False) == Agreed(told, 5, False)  # steps are the chief's
    assert cluster.agree(2, 9, False).signal == 2


def test_what_the_chief_has_otherwise_is_named(monkeypatch):
    chief, other = Cluster(None, Task(0, 2)), Cluster(None, Task(1, 2))
    said = []
    monkeypatch.setattr(chief, "_summed", lambda numbers: said.append(numbers) or numbers)
    chief.check_same({"data": 7, "tokenizer": "0a1b", "config": "x"})
    monkeypatch.setattr(other, "_summed", lambda numbers: said[0])
    other.check_same({"data": 7, "tokenizer": "0a1b", "config": "x"})
    assert all(float(int(number)) == number and int(number) < 2**53 for number in said[0])
    with pytest.raises(UserError, match="worker 1 has another tokenizer and another config than the chief"):
        other.check_same({"data": 7, "tokenizer": "0a1c", "config": "y"})


@pytest.mark.parametrize("kind", [PriorTraining, VocoderTraining])
def test_workers_compare_their_tokenizers_before_they_train(kind, monkeypatch):
    compared = []
    training = object.__new__(kind)
    training.task, training.folder = Task(), RunFolder(Path("run"))
    training.cluster = types.SimpleNamespace(check_same=compared.append)
    training.tokenizer = types.SimpleNamespace(model="model")
    for module in (prior_loop, vocoder_loop):
        monkeypatch.setattr(module, "codebook_fingerprint", lambda model: f"that of the {model}")
    monkeypatch.setattr(Training, "run", lambda self: compared.append("trained"))
    training.run()
    assert compared == [{"tokenizer": "that of the model"}, "trained"]


def test_one_process_agrees_with_itself():
    cluster = Cluster(tf.distribute.get_strategy(), Task())
    assert cluster.agree(None, 7, False) == Agreed(0, 7, False)
    assert cluster.agree(15, 7, True) == Agreed(15, 7, True)
    weight = tf.Variable(3.0)
    cluster.take_from_chief([weight])
    cluster.check_same({"data": 1})
    assert float(weight) == 3.0


@pytest.fixture(scope="module")
def manifests():
    """Of the guide's job."""
    guide = (ROOT / "docs" / "distributed.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    return {part["kind"]: part for part in yaml.safe_load_all(text)}


def test_the_guides_job_fits_its_schema_and_keeps_what_it_writes(manifests):
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, "1.30.0", strict=True)
    job, pod = manifests["Job"]["spec"], manifests["Job"]["spec"]["template"]["spec"]
    assert job["backoffLimit"] > 6  # that of Kubernetes: a few pods taken away would end the run
    (train,) = pod["containers"]
    kept = {volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
    mounts = {m["mountPath"]: m for m in train["volumeMounts"] if m["name"] in kept}
    (command,) = train["args"]
    assert mounts.keys() == {"/data", "/runs"} and not mounts["/runs"].get("readOnly")
    assert "--data /data " in command and "--run /runs/" in command
    storage = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "storage.yaml").read_text())
    (volume,) = pod["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == storage["metadata"]["name"]
    assert storage["spec"]["accessModes"] == ["ReadWriteMany"]
    (config,) = re.findall(r"--config (\S+)", command)
    copied = re.findall(r"^COPY (\S+) \S+$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert config in config_names() and {"vqmm", "configs"} <= {*copied}  # the image has it


@pytest.fixture
def guides_job(tmp_path):
    """Starts what a pod of the guide's job runs, with a vqmm that writes what it was given."""
    guide = (ROOT / "docs" / "distributed.md").read_text()
    script = textwrap.dedent(re.search(r"args:\n +- \|\n(.*?)```", guide, re.DOTALL)[1])
    stub = tmp_path / "vqmm"
    stub.write_text('#!/bin/sh\nprintf "%s\\n" "$TF_CONFIG"\ntrap "exit 0" TERM\nsleep "$NAP" & wait $!\n')
    stub.chmod(0o755)

    def start(nap):
        path = f"{tmp_path}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "JOB_COMPLETION_INDEX": "1", "NAP": nap}
        return subprocess.Popen(["sh", "-c", script], env=env, stdout=subprocess.PIPE, text=True)

    return start


def test_the_guides_job_makes_a_config_that_says_who_is_who(guides_job):
    with guides_job("0") as pod:
        said, _ = pod.communicate(timeout=240)
    assert pod.returncode == 0 and task_of(MANY, {"TF_CONFIG": said}) == Task(1, 2), said


def test_the_guides_job_is_not_done_when_it_was_stopped(guides_job):
    with guides_job("30") as pod:
        pod.stdout.readline()  # it runs
        pod.terminate()
        assert pod.wait(timeout=240) == 143
