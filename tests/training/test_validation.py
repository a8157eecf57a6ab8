import numpy as np
import pytest
import tensorflow as tf

from vqmm import metrics
from vqmm.data.batches import paired_evaluation_batches
from vqmm.evaluation import gather_material
from vqmm.evaluation.alignment import retrieval_section
from vqmm.metrics import rank_queries
from vqmm.models import build_model
from vqmm.training.validation import Validation

LABELS = np.array([0, 1, 0, 2, 1, -1, 2, 0])


def items(audio_mask=None):
    rng = np.random.default_rng(1)
    audio_mask = np.ones(8, bool) if audio_mask is None else audio_mask
    rows = {"audio": np.where(audio_mask, np.arange(8), -1), "image": np.arange(8)}
    return {
        **{f"{name}_row": found for name, found in rows.items()},
        **{f"{name}_item": found for name, found in rows.items()},
        **{f"{name}_label": np.where(found < 0, -1, LABELS) for name, found in rows.items()},
        "audio": rng.uniform(-0.5, 0.5, (8, 1024)).astype("float32"),
        "image": rng.uniform(0, 1, (8, 16, 16, 1)).astype("float32"),
        "audio_mask": audio_mask,
        "image_mask": np.ones(8, bool),
        "label": LABELS.astype("int32"),
        "id": np.array([b"x"] * 8, object),
    }


def batches(audio_mask=None):
    return split_up(items(audio_mask))


def split_up(whole):
    parts = (slice(0, 3), slice(3, 6), slice(6, 8))  # the last one is short
    return [{name: value[part] for name, value in whole.items()} for part in parts]


@pytest.fixture(autouse=True)
def _without_graphs():
    """To trace the model takes seconds in each test, to run it on eight items none."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def model(tiny_config):
    return build_model(tiny_config)


def expected_map(model, rows):
    whole = items()
    codes = {name: np.asarray(model.encode(**{name: whole[name]}).shared) for name in ("audio", "image")}
    table = np.asarray(model.quantizer.codebook)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    scores = np.einsum("ntd,mtd->nm", unit[codes["audio"]], unit[codes["image"]]) / 2
    seen = LABELS >= 0  # an item without a label is neither asked for nor found
    scores, same = scores[rows][:, seen], (LABELS[:, None] == LABELS[None, :])[rows][:, seen]
    scores, same = scores[seen[rows]], same[seen[rows]]
    found = []
    for s, r in ((scores, same), (scores.T, same.T)):
        kept = r.any(axis=1)
        found.append(rank_queries(s[kept], r[kept]).map.mean())
    return np.mean(found)


def test_retrieval_is_the_mean_of_both_directions(model):
    figures = Validation(model, batches()).figures()
    assert figures["retrieval_map"] == pytest.approx(expected_map(model, np.arange(8)), abs=1e-6)


def test_a_missing_recording_is_neither_asked_for_nor_found(model):
    mask = np.array([True] * 8)
    mask[[1, 5]] = False
    figures = Validation(model, batches(mask)).figures()
    assert figures["retrieval_map"] == pytest.approx(expected_map(model, np.flatnonzero(mask)), abs=1e-6)


def test_copies_of_a_picture_are_one_picture(model):
    """Three recordings of each picture and no labels: the item counts, and each picture stands once."""
    whole = items()
    picture = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    rows = {"image_row": picture, "image_item": picture, "audio_item": picture}
    none = dict.fromkeys(("label", "audio_label", "image_label"), np.full(8, -1, "int32"))
    whole = {**whole, **rows, **none, "image": whole["image"][picture]}
    codes = {name: np.asarray(model.encode(**{name: whole[name]}).shared) for name in ("audio", "image")}
    table = np.asarray(model.quantizer.codebook)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    pictures = codes["image"][[0, 3, 6]]
    scores = np.einsum("ntd,mtd->nm", unit[codes["audio"]], unit[pictures]) / 2
    same = picture[:, None] == np.arange(3)
    wanted = np.mean([rank_queries(s, r).map.mean() for s, r in ((scores, same), (scores.T, same.T))])
    found = Validation(model, split_up(whole)).figures()["retrieval_map"]
    assert found == pytest.approx(wanted, abs=1e-6)


def test_validation_counts_as_evaluation_does(model, tiny_config, tiny_data):
    tf.config.run_functions_eagerly(False)  # which tf.data cannot
    found = Validation(model, paired_evaluation_batches(tiny_data, tiny_config, "validation", 3)).figures()
    material = gather_material(model, tiny_data, tiny_config, "validation")
    wanted = metrics.relevance(*(material.sides[name].encoded for name in ("audio", "image")))
    table = np.asarray(model.quantizer.table("shared"))
    section = retrieval_section(material, table, 0, "slots", wanted, 10, 0)
    both = [section[way]["code_distance"]["map"]["value"] for way in section]
    assert found["retrieval_map"] == pytest.approx(np.mean(both), abs=1e-6)


def test_no_pair_gives_no_retrieval(model):
    assert "retrieval_map" not in Validation(model, batches(np.zeros(8, bool))).figures()


def test_usage_counts_the_codes_of_each_range(model):
    figures = Validation(model, batches()).figures()
    whole = items()
    audio, image = model.encode(audio=whole["audio"]), model.encode(image=whole["image"])
    shared = np.unique([np.asarray(audio.shared), np.asarray(image.shared)])
    assert figures["usage_shared"] == len(shared) / 4
    assert figures["usage_audio"] == len(np.unique(np.asarray(audio.private))) / 8
    assert figures["usage_image"] == len(np.unique(np.asarray(image.private))) / 8


def test_other_figures_are_means_over_items(model):
    terms = []
    for batch in batches():
        numbers = {k: v for k, v in batch.items() if k != "id"}
        terms.append((float(model.test_step(numbers)["reconstruction_image"]), len(batch["id"])))
    wanted = sum(value * n for value, n in terms) / 8
    assert Validation(model, batches()).figures()["reconstruction_image"] == pytest.approx(wanted, rel=1e-5)


def test_averaged_weights_are_judged_where_the_finished_model_has_them(tiny_config):
    tree = tiny_config.model_dump()
    tree["model"] |= {"kind": "vqgan", "discriminator": {"filters": (8, 8), "audio_scales": 1}}
    gan = build_model(type(tiny_config).model_validate(tree))
    for average in gan.averages:
        average.assign(average + 0.1)
    raw = [v.numpy() for v in gan.averaged_variables()]
    before = Validation(gan, batches()).figures()
    for variable, value in zip(gan.averaged_variables(), raw, strict=True):
        np.testing.assert_array_equal(variable, value)
    gan.take_averages()
    assert before == Validation(gan, batches()).figures()
    for variable, value in zip(gan.averaged_variables(), raw, strict=True):
        variable.assign(value)
    gan.averages.clear()
    assert before["loss"] != Validation(gan, batches()).figures()["loss"]


def test_a_mean_over_items_does_not_depend_on_the_batches(model):
    mask = np.array([True, False, False, True, True, True, False, True])  # as many in no two batches
    whole = items(mask)
    numbers = {name: value for name, value in whole.items() if name != "id"}
    one = {name: float(value) for name, value in model.test_step(numbers).items()}
    parted, joint = Validation(model, batches(mask)).figures(), Validation(model, [whole]).figures()
    for name in ("reconstruction_audio", "reconstruction_image", "pair_agreement"):
        assert parted[name] == pytest.approx(one[name], rel=1e-5), name
        assert joint[name] == pytest.approx(one[name], rel=1e-5), name
    assert joint["loss"] == pytest.approx(one["loss"], rel=1e-5)
    terms = one.keys() - {"loss", "pair_agreement"}
    assert parted["loss"] == pytest.approx(sum(parted[name] for name in terms), rel=1e-6)


def test_a_batch_without_a_modality_does_not_thin_its_terms(model):
    mask = np.arange(8) < 3  # the first batch alone has recordings
    first = {name: value for name, value in batches(mask)[0].items() if name != "id"}
    expected = float(model.test_step(first)["contrastive"])
    assert Validation(model, batches(mask)).figures()["contrastive"] == pytest.approx(expected, rel=1e-5)
