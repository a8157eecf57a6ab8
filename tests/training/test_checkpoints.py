import resource

import keras
import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.training.checkpoints import Checkpoints, restore_model


class Small(keras.Model):
    """One dense layer, dropout, and a step."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(4)
        self.drop = keras.layers.Dropout(0.5, seed=1)
        self.step = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.dense.build((None, 3))
        self.built = True

    def train(self, optimizer, seed):
        x = np.random.default_rng(seed).standard_normal((2, 3)).astype("float32")
        gradients = [keras.ops.ones_like(v) * float(x.mean()) for v in self.trainable_variables]
        self.drop(self.dense(x), training=True)  # moves the random generator on
        optimizer.apply(gradients, self.trainable_variables)
        self.step.assign_add(1)


def make():
    keras.utils.set_random_seed(0)
    model = Small()
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def state(model, optimizer):
    return [np.asarray(v) for v in (*model.variables, *optimizer.variables)]


def opened(tmp_path, model, optimizer, keep=2):
    return Checkpoints(tmp_path / "last", tmp_path / "best", model, [optimizer], keep)


def test_restores_every_variable(tmp_path):
    model, optimizer = make()
    checkpoints = opened(tmp_path, model, optimizer)
    assert checkpoints.restore() is None
    for seed in range(3):
        model.train(optimizer, seed)
    checkpoints.save()
    wanted = state(model, optimizer)

    model, optimizer = make()
    assert any((a != b).any() for a, b in zip(state(model, optimizer), wanted, strict=True))
    assert opened(tmp_path, model, optimizer).restore() == 3
    for ours, theirs in zip(state(model, optimizer), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_keeps_so_many_and_one_best(tmp_path):
    model, optimizer = make()
    checkpoints = opened(tmp_path, model, optimizer, keep=2)
    for seed in range(4):
        model.train(optimizer, seed)
        checkpoints.save()
        if seed < 3:
            checkpoints.save_best()
    assert sorted(p.name for p in (tmp_path / "last").glob("*.index")) == ["ckpt-3.index", "ckpt-4.index"]
    assert [p.name for p in (tmp_path / "best").glob("*.index")] == ["ckpt-3.index"]
    fresh, _ = make()
    assert restore_model(fresh, [checkpoints.best_path]) == []
    assert int(fresh.step) == 3
    assert restore_model(fresh, [checkpoints.last_path]) == []
    assert int(fresh.step) == 4


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path):
    model, optimizer = make()
    checkpoints = opened(tmp_path, model, optimizer)
    model.train(optimizer, 0)
    checkpoints.save()
    wanted = state(model, optimizer)
    model.train(optimizer, 1)
    checkpoints.save()
    data = tmp_path / "last" / "ckpt-2.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:50])
    model, optimizer = make()
    assert opened(tmp_path, model, optimizer).restore() == 1
    for ours, theirs in zip(state(model, optimizer), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    (tmp_path / "last" / "ckpt-1.index").write_bytes(b"")
    with pytest.raises(UserError, match="no checkpoint can be read"):
        opened(tmp_path, model, optimizer).restore()


def test_a_damaged_checkpoint_is_gone_once_training_has_gone_on_from_an_earlier_one(tmp_path):
    """Else it would be the newest for ever, and its model's part may be whole."""
    model, optimizer = make()
    checkpoints = opened(tmp_path, model, optimizer)
    model.train(optimizer, 0)
    checkpoints.save()
    for seed in range(2):
        model.train(optimizer, seed)
    checkpoints.save()
    (tmp_path / "last" / "ckpt-3.index").write_bytes(b"")
    model, optimizer = make()
    checkpoints = opened(tmp_path, model, optimizer)
    assert checkpoints.restore() == 1
    model.train(optimizer, 0)
    checkpoints.save()
    assert sorted(p.name for p in (tmp_path / "last").glob("ckpt-3*")) == []
    assert opened(tmp_path, model, optimizer).restore() == 2


def test_the_folder_can_be_moved(tmp_path):
    model, optimizer = make()
    model.train(optimizer, 0)
    opened(tmp_path / "a", model, optimizer).save()
    (tmp_path / "a").rename(tmp_path / "b")
    model, optimizer = make()
    assert opened(tmp_path / "b", model, optimizer).restore() == 1


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path):
    model, optimizer = make()
    checkpoints = opened(tmp_path, model, optimizer)
    model.train(optimizer, 0)
    checkpoints.save()
    model.train(optimizer, 1)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))
    try:
        with pytest.raises(
            UserError, match=r"last at step 2: File too large; the earlier one, .*ckpt-1, is intact"
        ):
            checkpoints.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    left = sorted(p.name for p in (tmp_path / "last").iterdir())
    assert left == ["checkpoint", "ckpt-1.data-00000-of-00001", "ckpt-1.index"]
    model, optimizer = make()
    assert opened(tmp_path, model, optimizer).restore() == 1


def test_remains_of_an_interrupted_write_are_removed(tmp_path):
    model, optimizer = make()
    model.train(optimizer, 0)
    opened(tmp_path, model, optimizer).save()
    last = tmp_path / "last"
    (last / "ckpt-2_temp").mkdir()
    (last / "ckpt-2_temp" / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"x")
    (last / "ckpt-3.data-00000-of-00001").write_bytes(b"x")
    assert opened(tmp_path, model, optimizer).restore() == 1
    assert sorted(p.name for p in last.iterdir()) == [
        "checkpoint",
        "ckpt-1.data-00000-of-00001",
        "ckpt-1.index",
    ]


def test_another_model_is_refused(tmp_path):
    model, optimizer = make()
    model.train(optimizer, 0)
    checkpoints = opened(tmp_path, model, optimizer)
    checkpoints.save()
    other = keras.Sequential([keras.layers.Input((7,)), keras.layers.Dense(2)])
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        restore_model(other, [checkpoints.last_path])
