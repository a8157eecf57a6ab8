from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
from records_of import FakeDataset, pictures_of, recordings_of

from vqmm.config import Config
from vqmm.data.batches import (
    Part,
    TrainingBatches,
    evaluation_batches,
    paired_evaluation_batches,
    training_batches,
)
from vqmm.data.records import Split
from vqmm.errors import UserError

WINDOW = 64


def config_of(**sections) -> Config:
    tree = {
        "seed": 4,
        "data": {
            "pair_by": "label",
            "audio": {"sample_rate": 8_000, "samples": WINDOW},
            "image": {"height": 8, "width": 8, "channels": 1},
            "cache_mib": 10,
        },
        "augment": {"audio": {"speed": 0.1, "gain_db": 3}, "image": {"noise": 0.1}},
        "train": {"batch_size": 6},
    }
    for section, values in sections.items():
        tree[section] = {**tree[section], **values} if isinstance(values, dict) else values
    return Config.model_validate(tree)


@pytest.fixture(scope="module")
def dataset() -> FakeDataset:
    """Recordings shorter and longer than the window; one label without a picture and one without sound."""
    rng = np.random.default_rng(0)
    sounds = [rng.integers(-9_000, 9_000, n).astype(np.int16) for n in (40, 64, 65, 200, 331, 20, 90)]
    pixels = list(rng.integers(0, 256, (5, 8, 8)).astype(np.uint8))
    return FakeDataset(
        Split(
            recordings_of(items=range(7), labels=[0, 0, 1, 1, 2, 2, -1], sounds=sounds),
            pictures_of(items=range(10, 15), labels=[0, 0, 1, 3, -1], pixels=pixels),
        )
    )


def take(batches: tf.data.Dataset, count: int) -> list[dict[str, np.ndarray]]:
    return list(itertools.islice(batches.as_numpy_iterator(), count))


def assert_same(first, second) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def test_a_batch_is_as_promised(dataset):
    for batch in take(training_batches(dataset, config_of()), 4):
        kinds = {key: (value.shape, value.dtype.kind) for key, value in batch.items()}
        assert kinds == {
            "audio": ((6, WINDOW), "f"),
            "image": ((6, 8, 8, 1), "f"),
            "audio_mask": ((6,), "b"),
            "image_mask": ((6,), "b"),
            "id": ((6,), "O"),
            "label": ((6,), "i"),
        }
        assert np.abs(batch["audio"]).max() <= 1
        assert 0 <= batch["image"].min() <= batch["image"].max() <= 1
        assert not batch["audio"][~batch["audio_mask"]].any()
        assert not batch["image"][~batch["image_mask"]].any()
        for row, name in enumerate(batch["id"]):
            names = name.decode().split("+")
            assert batch["audio_mask"][row] == names[0].startswith("a")
            assert batch["image_mask"][row] == names[-1].startswith("p")
            labels = {
                int((dataset.held.recordings if n[0] == "a" else dataset.held.pictures).labels[int(n[1:])])
                for n in names
            }
            assert labels == {batch["label"][row]}


def test_the_shapes_are_known_to_the_graph(dataset):
    spec = training_batches(dataset, config_of()).element_spec
    assert spec["audio"].shape == (6, WINDOW)
    assert spec["image"].shape == (6, 8, 8, 1)
    assert spec["id"].shape == spec["label"].shape == spec["audio_mask"].shape == (6,)


@pytest.mark.parametrize("cache_mib", [10, 0])
def test_starting_at_a_step_gives_what_running_there_gives(dataset, cache_mib):
    everything = {
        "audio": {"shift": 0.001, "noise": 0.5, "reverb": 0.5, "tilt_db": 6, "time_mask": 0.001},
        "image": {"rotate": 10, "noise": 0.1, "elastic": 0.05, "stroke": 1, "blur": 0.5},
    }
    config = config_of(data={"cache_mib": cache_mib}, augment=everything if cache_mib else {})
    straight = take(training_batches(dataset, config), 8)
    assert_same(straight, take(training_batches(dataset, config), 8))
    assert_same(straight[5:], take(training_batches(dataset, config, start_step=5), 3))
    assert not np.array_equal(straight[0]["audio"], straight[1]["audio"])


def test_global_random_state_plays_no_part(dataset):
    tf.random.set_seed(1)
    np.random.seed(1)
    first = take(training_batches(dataset, config_of()), 2)
    tf.random.set_seed(2)
    np.random.seed(2)
    assert_same(first, take(training_batches(dataset, config_of()), 2))


def test_the_seed_changes_everything(dataset):
    first, other = (take(training_batches(dataset, config_of(seed=seed)), 1)[0] for seed in (1, 2))
    assert not np.array_equal(first["id"], other["id"])
    assert not np.array_equal(first["audio"], other["audio"])


def test_decoding_on_demand_equals_the_cache(dataset):
    cached, decoded = (config_of(data={"cache_mib": mib}) for mib in (10, 0))
    assert_same(take(training_batches(dataset, cached), 3), take(training_batches(dataset, decoded), 3))
    for modality in ("audio", "image"):
        assert_same(
            take(evaluation_batches(dataset, cached, "test", modality, 3), 9),
            take(evaluation_batches(dataset, decoded, "test", modality, 3), 9),
        )


def test_an_epoch_shows_everything(dataset):
    batches = take(training_batches(dataset, config_of()), 2)  # 10 pairs and more an epoch
    names = {part for batch in batches for name in batch["id"] for part in name.decode().split("+")}
    assert names == {f"a{n}" for n in range(7)} | {f"p{n}" for n in range(5)}


def test_without_augmentation_items_come_as_stored(dataset):
    for batch in take(training_batches(dataset, config_of(), augment=False), 3):
        for row, name in enumerate(batch["id"]):
            for part in name.decode().split("+"):
                number = int(part[1:])
                if part[0] == "p":
                    want = dataset.held.pictures.data[number]
                    pixels = tf.io.decode_png(want).numpy() / np.float32(255)
                    np.testing.assert_array_equal(batch["image"][row], pixels)
                elif number in (0, 5):  # 40 and 20 samples: centred
                    length = (40, 20)[number == 5]
                    inside = np.flatnonzero(batch["audio"][row])
                    margin = (WINDOW - length) // 2
                    assert margin <= inside[0] <= inside[-1] < WINDOW - margin


def test_training_steps_aside_from_the_loudest_window(dataset):
    only = FakeDataset(
        Split(recordings_of([0], sounds=[np.arange(1_000, dtype=np.int16) * 10]), dataset.held.pictures)
    )
    config = config_of(augment={"audio": {}, "image": {}}, data={"pair_by": "item"})
    clips = [
        clip
        for batch in take(training_batches(only, config), 40)
        for clip in batch["audio"][batch["audio_mask"]]
    ]
    starts = np.array([round(clip[0] * 32768 / 10) for clip in clips])
    assert len(set(starts)) > 5
    assert starts.min() >= 1_000 - WINDOW - WINDOW // 2  # half a window from the loudest, at most
    assert starts.max() <= 1_000 - WINDOW


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_evaluation_shows_each_record_once_in_order(dataset, modality):
    records = dataset.held.recordings if modality == "audio" else dataset.held.pictures
    batches = take(evaluation_batches(dataset, config_of(), "test", modality, 3), 99)
    assert [len(batch["id"]) for batch in batches] == ([3, 3, 1] if modality == "audio" else [3, 2])
    columns = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
    assert set(columns) == {modality, "id", "label", "item"}
    assert [name.decode() for name in columns["id"]] == records.ids.tolist()
    np.testing.assert_array_equal(columns["label"], records.labels)
    np.testing.assert_array_equal(columns["item"], records.items)
    assert_same(batches, take(evaluation_batches(dataset, config_of(seed=9), "test", modality, 3), 99))


def test_a_split_of_one_modality_works(dataset):
    none = dataclasses.replace(
        dataset.held.pictures,
        **{
            f.name: getattr(dataset.held.pictures, f.name)[:0]
            for f in dataclasses.fields(dataset.held.pictures)
        },
    )
    sounds = FakeDataset(dataset.held._replace(pictures=none))
    for mib in (10, 0):
        config = config_of(data={"cache_mib": mib})
        batch = take(training_batches(sounds, config), 1)[0]
        assert batch["audio_mask"].all()
        assert not batch["image_mask"].any()
        assert batch["image"].shape == (6, 8, 8, 1)
        assert take(evaluation_batches(sounds, config, "test", "image", 3), 9) == []


def test_one_modality_may_be_taken_alone(dataset):
    settings = config_of()
    (whole,), (found,) = (take(training_batches(dataset, settings, alone=one), 1) for one in (None, "audio"))
    assert found["audio_mask"].all() and not found["image_mask"].any() and not found["image"].any()
    assert found["audio"].shape == whole["audio"].shape
    assert not any(b"+" in name for name in found["id"])


def test_an_empty_split_is_refused(dataset):
    empty = FakeDataset(Split(recordings_of([]), pictures_of([])))
    with pytest.raises(UserError, match="'test' is empty"):
        training_batches(empty, config_of(), split="test")


def test_paired_evaluation_is_one_epoch_whatever_the_seed(dataset):
    batches = take(paired_evaluation_batches(dataset, config_of(), "test", 4), 99)
    assert_same(batches, take(paired_evaluation_batches(dataset, config_of(seed=8), "test", 4), 99))
    names = [name for batch in batches for name in batch["id"]]
    assert {len(batch["id"]) for batch in batches[:-1]} == {4}
    assert len(names) == 9  # labels 0, 1, 2, 3 give 2, 2, 2, 1; the two without a label come alone


def test_the_parts_of_all_processes_are_the_batch(dataset):
    whole = take(training_batches(dataset, config_of()), 3)
    parts = [take(training_batches(dataset, config_of(), part=Part(i, 3)), 3) for i in range(3)]
    for batch, *pieces in zip(whole, *parts, strict=True):
        for key, value in batch.items():
            assert {len(piece[key]) for piece in pieces} == {2}
            np.testing.assert_array_equal(np.concatenate([p[key] for p in pieces]), value, err_msg=key)


def test_one_opening_serves_every_reader(dataset, monkeypatch):
    opened = TrainingBatches(dataset, config_of())
    monkeypatch.setattr("vqmm.data.records.read_shard", None)  # nothing is read again
    later, first, half = opened.starting_at(2), opened.starting_at(0), opened.starting_at(1, Part(1, 2))
    monkeypatch.undo()
    assert_same(take(first, 2), take(training_batches(dataset, config_of()), 2))
    assert_same(take(later, 2), take(training_batches(dataset, config_of(), start_step=2), 2))
    assert_same(take(half, 2), take(training_batches(dataset, config_of(), start_step=1, part=Part(1, 2)), 2))


def test_replicas_share_the_global_batch(dataset, two_replicas):
    batches = training_batches(dataset, config_of())
    whole = take(batches, 3)
    parts = iter(two_replicas.experimental_distribute_dataset(batches))
    for batch in whole:
        replicas = {
            key: [part.numpy() for part in two_replicas.experimental_local_results(value)]
            for key, value in next(parts).items()
        }
        for key, value in replicas.items():
            assert [len(part) for part in value] == [3, 3]
            np.testing.assert_array_equal(np.concatenate(value), batch[key], err_msg=key)


def test_prepared_data_comes_through(tiny_data, tiny_config):
    batch = take(training_batches(tiny_data, tiny_config), 1)[0]
    assert batch["audio"].shape == (8, 1024)
    assert batch["audio_mask"].all()
    assert batch["image_mask"].all()
    for row, name in enumerate(batch["id"]):
        assert "+" in name.decode()
        spectrum = np.abs(np.fft.rfft(batch["audio"][row]))
        hertz = np.argmax(spectrum) * 2_000 / 1_024
        assert abs(hertz - (150 + 180 * batch["label"][row])) < 5
