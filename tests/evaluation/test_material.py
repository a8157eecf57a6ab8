import dataclasses

import numpy as np
import pytest

from vqmm.encoding import encode_split
from vqmm.errors import UserError
from vqmm.evaluation.material import (
    check_paired,
    gather_material,
    judging_config,
    only_rows,
    sampled_rows,
    spec_differences,
)
from vqmm.models import build_model


@pytest.fixture(scope="module")
def model(tiny_config):
    return build_model(tiny_config)


def with_(config, **changes):
    """The config with `section_key=value` changed under `data`."""
    tree = config.model_dump()
    for name, value in changes.items():
        section, key = name.split("_", 1)
        tree["data"][section][key] = value
    return type(config).model_validate(tree)


def test_a_whole_split(model, tiny_config, tiny_data):
    found = gather_material(model, tiny_data, tiny_config, "test")
    assert list(found.sides) == ["audio", "image"] and found.paired
    for modality, side in found.sides.items():
        expected = encode_split(model, tiny_data, tiny_config, "test", modality)
        np.testing.assert_array_equal(side.encoded.shared, expected.shared)
        assert side.encoded.ids.tolist() == expected.ids.tolist()
        assert len(side.inputs) == side.total == 8
        assert len(found.training[modality].encoded.ids) == 24
        again = model.encode(**{modality: side.inputs})  # inputs and codes are of the same items
        np.testing.assert_array_equal(np.asarray(again.shared), side.encoded.shared)
    assert found.pair_by == "label" and found.labels == ("0", "1", "2", "3")


def test_a_sample_is_the_same_for_every_run(model, tiny_config, tiny_data):
    few = tiny_config.model_copy(
        update={"evaluate": tiny_config.evaluate.model_copy(update={"max_items": 5})}
    )
    found = gather_material(model, tiny_data, few, "test")
    whole = encode_split(model, tiny_data, tiny_config, "test", "image")
    rows = sampled_rows(8, 5, 0)
    pictures = found.sides["image"]
    assert pictures.encoded.ids.tolist() == whole.ids[rows].tolist()
    assert len(pictures.inputs) == 5 and pictures.total == 8 and len(found.training["audio"].inputs) == 5
    # Runs of other seeds are judged on the same items: they are compared item by item.
    other = gather_material(model, tiny_data, few.model_copy(update={"seed": 7}), "test")
    for name, side in other.sides.items():
        assert side.encoded.ids.tolist() == found.sides[name].encoded.ids.tolist()


def test_rows_across_batches():
    batches = [{"id": np.arange(3), "x": np.arange(3) * 10}, {"id": np.arange(3, 4), "x": np.array([30])}] * 2
    kept = list(only_rows(batches, np.array([1, 2, 7])))
    assert [b["x"].tolist() for b in kept] == [[10, 20], [30]]
    assert sampled_rows(3, 5, 0).tolist() == [0, 1, 2]


def test_other_data_may_be_prepared_otherwise(tiny_config, tiny_data):
    run = with_(tiny_config, audio_trim_db=30.0, audio_samples=512)
    run = run.model_copy(update={"data": run.data.model_copy(update={"pair_by": "item"})})
    found = judging_config(tiny_data, run).data
    assert (found.audio.trim_db, found.audio.samples, found.pair_by) == (0.0, 512, "label")
    assert spec_differences(tiny_data, run) == ["data.audio.trim_db=0.0, the run has 30.0"]


def test_data_that_the_model_cannot_take_is_refused(tiny_config, tiny_data):
    run = with_(tiny_config, audio_sample_rate=8000, image_width=20)
    with pytest.raises(UserError, match=r"sample_rate=2000, the run has 8000; .*width=16, the run has 20"):
        judging_config(tiny_data, run)


def test_a_split_without_pictures_has_recordings_alone(model, tiny_config, tiny_data):
    counts = {**tiny_data.counts, "test": {**tiny_data.counts["test"], "pictures": 0}}
    data = dataclasses.replace(tiny_data, counts=counts)
    found = gather_material(model, data, tiny_config, "test")
    assert set(found.sides) == set(found.training) == {"audio"} and not found.paired
    with pytest.raises(UserError, match="'test'.* has no pictures.*both: train, validation"):
        check_paired(data, "test")
    check_paired(data, "train")


def test_an_empty_split_is_told(model, tiny_config, tiny_data):
    with pytest.raises(UserError, match="'x'.* is empty; splits that are not: train, validation, test"):
        gather_material(model, tiny_data, tiny_config, "x")
