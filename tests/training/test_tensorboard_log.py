import resource
import sys
import time

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from vqmm.models import build_model
from vqmm.training.tensorboard_log import TensorBoardLog


def test_writes_curves_pictures_sound_and_histograms(tiny_config, tmp_path):
    model = build_model(tiny_config)
    rng = np.random.default_rng(0)
    batch = {
        "audio": rng.uniform(-0.5, 0.5, (3, 1024)).astype("float32"),
        "image": rng.uniform(0, 1, (3, 16, 16, 1)).astype("float32"),
    }
    board = TensorBoardLog(tmp_path, tiny_config)
    board.scalars(20, "train", {"loss": 2.5})
    board.examples(40, model, batch)
    found = {}
    for path in tmp_path.glob("*/events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found[value.tag] = (path.parent.name, event.step, tf.make_ndarray(value.tensor))
    assert found["loss"][:2] == ("train", 20) and found["loss"][2] == 2.5
    assert set(found) == {
        "loss",
        "pictures",
        "spectrograms",
        "sound/original",
        "sound/rebuilt",
        "codes/audio/shared",
        "codes/audio/private",
        "codes/image/shared",
        "codes/image/private",
    }
    assert {value[:2] for tag, value in found.items() if tag != "loss"} == {("validation", 40)}
    width, height, *pictures = found["pictures"][2]
    assert (int(width), int(height), len(pictures)) == (48, 16, 3)  # three columns side by side
    shown = tf.io.decode_png(pictures[0]).numpy()[:, :16, 0] / 255
    np.testing.assert_allclose(shown, batch["image"][0, ..., 0], atol=1 / 255)
    sound, _ = tf.audio.decode_wav(found["sound/original"][2][0, 0])
    np.testing.assert_allclose(sound[:, 0], batch["audio"][0], atol=1e-4)
    counts = found["codes/audio/shared"][2][:, 2]
    assert counts.sum() == 3 * 2


def test_points_after_a_checkpoint_that_is_continued_from_are_not_shown_twice(tiny_config, tmp_path):
    for steps in (range(20, 120, 20), range(60, 160, 20), range(140, 200, 20)):
        time.sleep(1.1)  # files are named after the second, as those of processes that take longer to start
        board = TensorBoardLog(tmp_path, tiny_config)
        for step in steps:
            board.scalars(step, "train", {"loss": float(step + len(steps))})
    events = EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    found = {point.step: float(tf.make_ndarray(point.tensor_proto)) for point in events.Tensors("loss")}
    assert [point.step for point in events.Tensors("loss")] == list(range(20, 200, 20))
    assert found[40] == 45 and found[60] == 65 and found[180] == 183


def test_a_full_disk_ends_the_board_and_not_the_training(tiny_config, tmp_path, our_messages):
    model = build_model(tiny_config)
    board = TensorBoardLog(tmp_path, tiny_config)
    board.scalars(1, "train", {"loss": 1.0})
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, most))
    try:
        for step in range(2, 10):
            board.scalars(step, "train", {"loss": 1.0, "reconstruction": 2.0})
            board.scalars(step, "validation", {"loss": 1.0})
        board.examples(10, model, {})  # nothing is made that could not be written
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    (told,) = our_messages()
    assert f"cannot write {tmp_path}: " in told and "File too large" in told and "goes on without" in told
    assert (tmp_path / "train").is_dir() and "\n" not in told


def test_a_folder_that_cannot_be_made_ends_the_board_too(tiny_config, tmp_path, our_messages):
    (tmp_path / "file").touch()
    board = TensorBoardLog(tmp_path / "file", tiny_config)
    for step in (1, 2):
        board.scalars(step, "train", {"loss": 1.0})
    (told,) = our_messages()
    assert f"cannot write {tmp_path / 'file'}: " in told


def test_without_the_package_it_says_so_once_and_writes_nothing(
    tiny_config, tmp_path, monkeypatch, our_messages
):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    board = TensorBoardLog(tmp_path / "board", tiny_config)
    board.scalars(20, "train", {"loss": 2.5})
    board.scalars(40, "train", {"loss": 2.5})
    (message,) = our_messages()
    assert "pip install 'vqmm[logging]'" in message and not (tmp_path / "board").exists()
