"""A run knows by content what it was trained on, whatever the items are called."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vqmm.data.prepare import prepare
from vqmm.training.run_folder import Run, RunFolder
from vqmm.training.trained_items import record_trained_items, trained_on

SIZE = 16


def data(folder, config, pictures):
    """Prepared pictures, given as `{name: (split, level)}`: equal levels are equal content."""
    folder.mkdir()
    for name, (_, level) in pictures.items():
        Image.fromarray(np.full((SIZE, SIZE), level, np.uint8)).save(folder / f"{name}.png")
    lines = [f"{name}.png,{split}" for name, (split, _) in pictures.items()]
    (folder / "m.csv").write_text("\n".join(["image,split", *lines]) + "\n")
    return prepare(folder / "m.csv", config, folder / "data", workers=1, progress=False).dataset


@pytest.fixture
def trained(tiny_config, tmp_path):
    dataset = data(tmp_path / "own", tiny_config, {f"t{n}": ("train", 10 * n) for n in range(5)})
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    record_trained_items(run, dataset)
    return Run(tiny_config, None, run.path, 1)


def test_copies_are_counted_and_others_are_not(trained, tiny_config, tmp_path):
    pictures = {
        "a": ("test", 10),
        "b": ("test", 20),
        "c": ("test", 21),
        "d": ("train", 30),
        "e": ("test", 10),
    }
    other = data(tmp_path / "other", tiny_config, pictures)
    assert trained_on([trained], other, "test") == (0, 3)  # 10 twice, and 20
    assert trained_on([trained], other, "train") == (0, 1)
    saved = np.load(RunFolder(trained.folder).trained_items)
    assert saved.dtype == np.uint64 and (np.diff(saved) > 0).all() and len(saved) == 5


def test_what_cannot_be_known_is_none(trained, tiny_config, tmp_path):
    image = tiny_config.data.image.model_copy(update={"trim": True})
    spec = tiny_config.data.model_copy(update={"image": image})
    other = tiny_config.model_copy(update={"data": spec})
    assert trained_on([trained], data(tmp_path / "a", other, {"a": ("test", 10)}), "test") == (0, None)
    Path(RunFolder(trained.folder).trained_items).unlink()  # as in a run of an earlier version
    held = data(tmp_path / "b", tiny_config, {"a": ("test", 10), "t": ("train", 10)})
    assert trained_on([trained], held, "test") == (0, None)
    RunFolder(trained.folder).data.write_text(f'{{"checksum": "{held.checksum}"}}')
    assert trained_on([trained], held, "test") == (0, 1)  # the same data: its training split is at hand
