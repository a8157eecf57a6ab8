"""Data prepared as WAV or as FLAC, also by earlier versions, reads the same; a change of form is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from vqmm.config import Config, check_config
from vqmm.data.prepare import prepare
from vqmm.data.readers import audio_reader
from vqmm.data.records import Dataset
from vqmm.data.stored_audio import stored_audio
from vqmm.errors import UserError
from vqmm.training.run_folder import Run, RunFolder
from vqmm.training.trained_items import record_trained_items, trained_on

WINDOW = 256


def _config(form: str) -> Config:
    return check_config({"data": {"audio": {"sample_rate": 4_000, "samples": WINDOW, "stored_as": form}}})


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for number, length in enumerate((400, 801, 41, 256)):
        soundfile.write(folder / f"{number}.wav", 0.2 * rng.standard_normal(length), 4_000)
    lines = [f"{number}.wav,{split}" for number, split in enumerate(("train", "train", "train", "test"))]
    (folder / "manifest.csv").write_text("\n".join(["audio,split", *lines]) + "\n")
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def prepared(manifest: Path) -> dict[str, Dataset]:
    return {
        form: prepare(
            manifest, _config(form), manifest.parent / f"as-{form}", workers=1, progress=False
        ).dataset
        for form in ("wav", "flac")
    }


@pytest.fixture
def earlier(manifest: Path, tmp_path: Path) -> Path:
    """A folder as an earlier version left it: FLAC, and `dataset.json` does not state the form."""
    prepare(manifest, _config("flac"), tmp_path / "earlier", workers=1, progress=False)
    path = tmp_path / "earlier" / "dataset.json"
    tree = json.loads(path.read_text())
    del tree["spec"]["audio"]["stored_as"], tree["made_from"]["data.audio"]["stored_as"]
    path.write_text(json.dumps(tree))
    return path.parent


def _windows(dataset: Dataset, cached: bool) -> np.ndarray:
    read = audio_reader(dataset.split("train").recordings, WINDOW, cached)
    return tf.function(read)(tf.constant([0, -1, 1, 2], tf.int64), tf.constant([0.0, 0.0, 0.2, 0.0])).numpy()


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "decoded when read"])
def test_both_forms_are_read_to_the_same_samples(prepared: dict[str, Dataset], cached: bool) -> None:
    for form, dataset in prepared.items():
        assert {stored_audio(data) for data in dataset.split("train").recordings.data} == {form}
        assert json.loads((dataset.folder / "dataset.json").read_text())["spec"]["audio"]["stored_as"] == form
    found = _windows(prepared["wav"], cached)
    assert found.any(axis=1).tolist() == [True, False, True, True]
    np.testing.assert_array_equal(found, _windows(prepared["flac"], cached))
    np.testing.assert_array_equal(found, _windows(prepared["wav"], not cached))


def test_a_config_with_the_other_form_takes_the_data(prepared: dict[str, Dataset]) -> None:
    prepared["wav"].check(_config("flac"))
    prepared["flac"].check(_config("wav"))


def test_data_of_an_earlier_version_is_read(earlier: Path, prepared: dict[str, Dataset]) -> None:
    dataset = Dataset.open(earlier)
    assert dataset.audio.stored_as == "flac"
    dataset.check(_config("wav"))
    np.testing.assert_array_equal(_windows(dataset, False), _windows(prepared["wav"], True))


def test_prepare_goes_on_in_a_folder_of_an_earlier_version_and_refuses_another_form(
    earlier: Path, manifest: Path
) -> None:
    assert prepare(manifest, _config("flac"), earlier, workers=1, progress=False).made == 0
    with pytest.raises(UserError, match=r"data\.audio\.stored_as='flac', now 'wav'; remove it or choose"):
        prepare(manifest, _config("wav"), earlier, workers=1, progress=False)
    done = prepare(manifest, _config("wav"), earlier, workers=1, progress=False, force=True)
    assert done.dataset.audio.stored_as == "wav" and done.made == 2


def test_items_that_were_trained_on_are_found_in_either_form(
    prepared: dict[str, Dataset], tmp_path: Path
) -> None:
    record_trained_items(RunFolder(tmp_path), prepared["wav"])
    run = Run(_config("wav"), None, tmp_path, 1)
    for dataset in prepared.values():
        assert trained_on([run], dataset, "train") == (3, 0)
        assert trained_on([run], dataset, "test") == (0, 0)
