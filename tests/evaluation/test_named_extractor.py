"""A named classifier beside the network that is taught: who judges what."""

import keras
import numpy as np
import pytest

from vqmm.evaluation import extractors, gather_material, judge
from vqmm.evaluation.cases import Cases
from vqmm.evaluation.named_extractor import Classifier, name_extractors
from vqmm.models import build_model


@pytest.fixture(scope="module")
def config(tiny_config):
    fewer = tiny_config.evaluate.model_copy(update={"bootstrap": 30, "generated": 20})
    return tiny_config.model_copy(update={"evaluate": fewer})


def test_sets_are_judged_by_it_and_single_items_and_labels_by_the_taught_one(
    tiny_data, config, monkeypatch, tmp_path
):
    monkeypatch.setattr(extractors, "FEWEST", 8)
    monkeypatch.setattr(extractors, "STEPS", 20)
    model = build_model(config)
    material = gather_material(model, tiny_data, config, "test")
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Flatten(), keras.layers.Dense(5, "relu"), keras.layers.Dense(3)]
    foreign = keras.Sequential([keras.Input((16, 16, 1)), *layers, keras.layers.Softmax()])
    sets = name_extractors({"image": Classifier(tmp_path / "mine.keras", foreign)}, model, material)
    plain, named = Cases(), Cases()
    before = judge(model, material, tiny_data, config, "test", cases=plain)
    after = judge(model, material, tiny_data, config, "test", cases=named, sets=sets)
    assert sets["image"].features(material.sides["image"].inputs).shape == (8, 3)  # what the softmax reads
    for path, own in (("perceptual", False), ("frechet", True)):
        taught, found = (cases[f"reconstruction.image.{path}"] for cases in (plain, named))
        assert taught.judge == before["generation"]["extractors"]["image"]["fingerprint"]
        assert found.judge == (sets["image"].fingerprint if own else taught.judge)
    np.testing.assert_array_equal(
        plain["reconstruction.image.perceptual"].values, named["reconstruction.image.perceptual"].values
    )
    same, made = before["generation"], after["generation"]
    assert made["extractors"] == same["extractors"] and set(made["named"]) == {"image"}
    assert made["audio_to_image"] == same["audio_to_image"]
    assert made["unconditional"]["audio"] == same["unconditional"]["audio"]
    assert made["unconditional"]["image"]["frechet"] != same["unconditional"]["image"]["frechet"]
    assert made["unconditional"]["image"]["classifier_score"]["ci95"][1] <= 3
