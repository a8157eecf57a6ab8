"""Two devices are two halves of the processor: they exist in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vqmm.config import Train, save_config
from vqmm.errors import UserError
from vqmm.training.strategy import make_strategy

ROOT = Path(__file__).parents[2]

WORK = """
import sys
import numpy as np
from vqmm.config import load_config
from vqmm.data.records import Dataset
from vqmm.errors import UserError
from vqmm.training.strategy import make_strategy

config = load_config(sys.argv[1])
strategy = make_strategy(config.train)
import tensorflow as tf
from vqmm.data.batches import training_batches
from vqmm.models import build_model
from vqmm.training.optimizer import make_optimizer
from vqmm.training.step_runner import StepRunner

with strategy.scope():
    model = build_model(config)
    model.compile(optimizer=make_optimizer(config.train))
    model.optimizer.build(model.trainable_variables)
model.quantizer.start()
runner = StepRunner(model, strategy, training_batches(Dataset.open(sys.argv[2]), config, augment=False))
rows = runner.run(5)
copies = [v.value.values for v in model.variables if isinstance(v.value, tf.distribute.DistributedValues)]
apart = max((np.abs(a.numpy() - b.numpy()).max() for a, *rest in copies for b in rest), default=0.0)
arrays = {f"v{i}": np.asarray(v) for i, v in enumerate(model.variables)}
np.savez(sys.argv[3], rows=rows, replicas=strategy.num_replicas_in_sync, apart=apart, **arrays)
print([v.path for v in model.variables])
for changed in ({"batch_size": 7}, {"jit_compile": True}, {"devices": ("CPU:0", "GPU:9")}):
    if strategy.num_replicas_in_sync > 1:
        try:
            make_strategy(config.train.model_copy(update=changed))
        except UserError as error:
            print("told:", error)
"""


def work(config, data, tmp_path, **train):
    name = train["strategy"]
    path = tmp_path / f"{name}.yaml"
    model = config.model.model_copy(update={"dropout": 0.0, "private_drop": 0.0})  # replicas draw apart
    save_config(
        config.model_copy(update={"model": model, "train": config.train.model_copy(update=train)}), path
    )
    out = tmp_path / f"{name}.npz"
    command = [sys.executable, "-c", WORK, str(path), str(data.folder), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(np.load(out)), done.stdout


def test_two_halves_of_a_batch_are_as_good_as_the_whole(tiny_config, tiny_data, tmp_path):
    one, said = work(tiny_config, tiny_data, tmp_path, strategy="one", clip_norm=0.1)
    two, told = work(
        tiny_config, tiny_data, tmp_path, strategy="mirrored", devices=("CPU:0", "CPU:1"), clip_norm=0.1
    )
    assert (int(one["replicas"]), int(two["replicas"])) == (1, 2)
    assert two["apart"] == 0.0
    np.testing.assert_allclose(two["rows"], one["rows"], rtol=1e-3, atol=1e-4)
    paths = json.loads(said.splitlines()[0].replace("'", '"'))
    for i, path in enumerate(paths):
        if "seed_generator" not in path:
            np.testing.assert_allclose(two[f"v{i}"], one[f"v{i}"], rtol=1e-3, atol=2e-4, err_msg=path)
    assert "train.batch_size=7 does not divide among 2 devices; take 6 or 8" in told
    assert "train.jit_compile=true works on one device only" in told
    assert "train.devices: GPU:9 not found; this machine has CPU:0, CPU:1" in told


def test_one_is_the_default_strategy():
    assert make_strategy(Train()) is tf.distribute.get_strategy()


def test_models_trained_one_after_the_other_share_their_strategy(two_replicas):
    """Two strategies would give their collectives the same numbers, and the second model would stop."""
    assert make_strategy(Train(strategy="mirrored", devices=("CPU:0", "CPU:1"), batch_size=6)) is two_replicas


def test_a_processor_in_use_cannot_be_split_any_more():
    tf.zeros(1)
    with pytest.raises(UserError, match="make the strategy before anything else uses TensorFlow"):
        make_strategy(Train(strategy="mirrored", devices=("CPU:0", "CPU:1", "CPU:2")))
