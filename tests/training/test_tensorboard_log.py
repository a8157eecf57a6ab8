import numpy as np
import tensorflow as tf

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
