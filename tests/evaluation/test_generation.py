"""What is drawn and carried over, on tones and stripes."""

import numpy as np
import pytest

from vqmm.config import Config
from vqmm.evaluation import extractors, gather_material, judge
from vqmm.evaluation.cases import Cases
from vqmm.evaluation.draws import SimpleDraws
from vqmm.evaluation.reconstruction import _waveform_measures
from vqmm.models import build_model


@pytest.fixture(scope="module")
def config(tiny_config):
    fewer = tiny_config.evaluate.model_copy(update={"bootstrap": 30, "generated": 20})
    return tiny_config.model_copy(update={"evaluate": fewer})


def of_kind(config, kind):
    tree = config.model_dump()
    tree["model"]["kind"] = kind
    return Config.model_validate(tree)


@pytest.fixture(scope="module", params=["vqvae", "vae"])
def judged(request, tiny_data, config):
    patch = pytest.MonkeyPatch()
    patch.setattr(extractors, "FEWEST", 8)
    patch.setattr(extractors, "STEPS", 60)
    settings = of_kind(config, request.param)
    model = build_model(settings)
    material = gather_material(model, tiny_data, settings, "test")
    yield model, material, judge(model, material, tiny_data, settings, "test")
    patch.undo()


def test_features_are_of_a_classifier_whose_accuracy_is_told(judged):
    found = judged[2]["generation"]["extractors"]
    for name in ("audio", "image"):
        assert found[name]["kind"] == "labels" and found[name]["accuracy"] > 0.6  # chance: a quarter


def test_drawn_items_are_judged_beside_real_ones(judged):
    model, _, figures = judged
    section = figures["generation"]
    assert ("normal distribution" in section["prior"]) == (model.name == "vae")
    for name in ("audio", "image"):
        found = section["unconditional"][name]
        for figure in ("frechet", "kernel", "precision", "recall"):
            assert np.isfinite(found[figure]["value"]) and np.isfinite(found["floor"][figure]["value"])
        # An untrained model draws nothing like the data; training items are like it.
        assert found["frechet"]["value"] > 2 * found["floor"]["frechet"]["value"]
        assert 1 <= found["classifier_score"]["value"] <= 4
        rebuilt = figures["reconstruction"][name]
        assert rebuilt["perceptual"]["value"] > 0 and rebuilt["frechet"]["n"] == 8
    for direction in ("audio_to_image", "image_to_audio"):
        assert 0 <= section[direction]["coherence"]["value"] <= 1
    assert section["unconditional"]["joint_coherence"]["n"] == 20


def test_a_model_without_codes_has_latents_in_place_of_a_codebook(judged):
    model, _, figures = judged
    if model.name == "vqvae":
        assert "codebook" in figures and "latents" not in figures
        return
    assert "codebook" not in figures and set(figures["retrieval"]["audio_to_image"]) == {"continuous"}
    assert set(figures["latents"]["image"]) == {"shared", "private"}
    assert figures["latents"]["audio"]["shared"]["nats"]["value"] > 0
    assert "bits_per_item" not in figures["cost"]


def test_codes_are_drawn_place_by_place_from_the_training_split(judged):
    model, material, _ = judged
    if model.name == "vae":
        return
    one = SimpleDraws(model, material).together(5, seed=1)
    assert one["image"].shape == (5, 16, 16, 1) and one["audio"].shape[0] == 5
    again = SimpleDraws(model, material).together(5, seed=1)
    np.testing.assert_array_equal(one["image"], again["image"])
    # With one training item there is one thing to draw: that item, rebuilt.
    train = material.training["image"]
    alone = train._replace(
        inputs=train.inputs[:1],
        encoded=train.encoded._replace(shared=train.encoded.shared[:1], private=train.encoded.private[:1]),
    )
    sounds = material.training["audio"]
    both = sounds._replace(encoded=sounds.encoded._replace(shared=alone.encoded.shared))
    few = material._replace(training={"audio": both, "image": alone})
    drawn = SimpleDraws(model, few).together(3, seed=0)
    wanted = model.reconstruct(train.inputs[:1], "image")
    np.testing.assert_allclose(drawn["image"], np.repeat(wanted, 3, 0), atol=1e-6)


def test_without_labels_features_are_of_quarter_turns(tiny_data, config, monkeypatch):
    monkeypatch.setattr(extractors, "FEWEST", 8)
    monkeypatch.setattr(extractors, "STEPS", 20)
    model = build_model(config)
    material = gather_material(model, tiny_data, config, "test")
    side = material.training["image"]
    unknown = side._replace(encoded=side.encoded._replace(labels=np.full(24, -1)))
    found = extractors.fit_extractors(model, material._replace(training={"image": unknown}), 0)
    assert set(found) == {"image"} and found["image"].kind == "turns"
    assert found["image"].features(side.inputs).shape == (24, 64)


def test_too_few_items_are_not_compared_as_sets(tiny_data, config, monkeypatch):
    monkeypatch.setattr(extractors, "FEWEST", 8)
    model = build_model(config)
    material = gather_material(model, tiny_data, config, "test")
    few = {name: side._replace(inputs=side.inputs[:4]) for name, side in material.sides.items()}
    assert extractors.fit_extractors(model, material._replace(sides=few), 0) == {}


def test_silence_has_no_ratio_of_signal_to_distortion(tiny_data, config):
    model = build_model(config)
    side = gather_material(model, tiny_data, config, "test").sides["audio"]
    cases = Cases()
    found = _waveform_measures(model, side, config, cases)
    assert "si_sdr" in found
    held = cases["reconstruction.audio.multiscale_mel"]
    assert set(held.ids) <= set(side.encoded.ids) and len(held.ids) == len(held.values)
    np.testing.assert_allclose(held.values, found["multiscale_mel"], rtol=1e-6)
    silent = _waveform_measures(model, side._replace(inputs=0 * side.inputs), config)
    assert "si_sdr" not in silent and np.isfinite(silent["multiscale_mel"]).all()
