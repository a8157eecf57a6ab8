"""What is drawn and carried over, on tones and stripes."""

import sys

import numpy as np
import pytest

from vqmm.config import Config
from vqmm.evaluation import extractors, gather_material, judge, reconstruction
from vqmm.evaluation.cases import Cases
from vqmm.evaluation.draws import SimpleDraws
from vqmm.metrics import kernel_distance
from vqmm.models import build_model


@pytest.fixture(scope="module")
def config(tiny_config):
    fewer = tiny_config.evaluate.model_copy(update={"bootstrap": 30, "generated": 20})
    return tiny_config.model_copy(update={"evaluate": fewer})


def of_kind(config, kind):
    tree = config.model_dump()
    tree["model"]["kind"] = kind
    return Config.model_validate(tree)


@pytest.fixture(scope="module")
def model(config):
    return build_model(config)


@pytest.fixture(scope="module")
def gathered(model, tiny_data, config):
    """Items of both splits, as the untrained model encodes them."""
    return gather_material(model, tiny_data, config, "test")


@pytest.fixture(scope="module")
def trained_once():
    """Trains the networks in whose features models are compared once: they do not depend on the model."""
    kept = {}

    def fit_once(model, material, seed):
        if not kept:
            kept.update(extractors.fit_extractors(model, material, seed))
        return kept

    return fit_once


@pytest.fixture(scope="module", params=["vqvae", "vae"])
def judged(request, tiny_data, config, trained_once):
    patch = pytest.MonkeyPatch()
    patch.setattr(extractors, "FEWEST", 8)
    patch.setattr(extractors, "STEPS", 60)
    patch.setattr(sys.modules[judge.__module__], "fit_extractors", trained_once)
    settings = of_kind(config, request.param)
    model = build_model(settings)
    material = gather_material(model, tiny_data, settings, "test")
    cases = Cases()
    yield model, material, judge(model, material, tiny_data, settings, "test", cases=cases), cases
    patch.undo()


def test_features_are_of_a_classifier_whose_accuracy_is_told(judged):
    found = judged[2]["generation"]["extractors"]
    for name in ("audio", "image"):
        assert found[name]["kind"] == "labels" and found[name]["accuracy"] > 0.6  # chance: a quarter
        assert found[name]["items"] == 24 and found[name]["classes"] == 4 and found[name]["split"] == "train"
    prints = {found[name]["fingerprint"] for name in found}
    assert len(prints) == 2 and all(len(name) == 16 for name in prints)


def test_cases_keep_in_whose_features_they_were_measured(judged):
    model, material, figures, cases = judged
    for name in ("audio", "image"):
        judge = figures["generation"]["extractors"][name]["fingerprint"]
        held = {figure: cases[f"reconstruction.{name}.{figure}"] for figure in ("perceptual", "frechet")}
        assert {one.judge for one in held.values()} == {judge}
        assert cases["reconstruction.image.psnr"].judge == ""


def test_drawn_items_are_judged_beside_real_ones(judged):
    model, _, figures, _ = judged
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
    model, _, figures, _ = judged
    if model.name == "vqvae":
        assert "codebook" in figures and "latents" not in figures
        return
    assert "codebook" not in figures and set(figures["retrieval"]["audio_to_image"]) == {"continuous"}
    assert set(figures["latents"]["image"]) == {"shared", "private"}
    assert figures["latents"]["audio"]["shared"]["nats"]["value"] > 0
    assert "bits_per_item" not in figures["cost"]


def test_codes_are_drawn_place_by_place_from_the_training_split(judged):
    model, material, *_ = judged
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


def test_without_labels_features_are_of_quarter_turns(model, gathered, monkeypatch):
    monkeypatch.setattr(extractors, "FEWEST", 8)
    monkeypatch.setattr(extractors, "STEPS", 20)
    side = gathered.training["image"]
    unknown = side._replace(encoded=side.encoded._replace(labels=np.full(24, -1)))
    found = extractors.fit_extractors(model, gathered._replace(training={"image": unknown}), 0)
    assert set(found) == {"image"} and found["image"].kind == "turns"
    assert found["image"].features(side.inputs).shape == (24, 64)


def test_items_of_a_label_that_training_lacks_are_left_out(model, gathered, monkeypatch):
    monkeypatch.setattr(extractors, "FEWEST", 8)
    monkeypatch.setattr(extractors, "STEPS", 20)
    train = gathered.training["image"]
    few = train.encoded.labels > 0
    train = train._replace(inputs=train.inputs[few], encoded=train.encoded.rows(few))
    found = extractors.fit_extractors(model, gathered._replace(training={"image": train}), 0)["image"]
    assert (found.kind, found.labels, found.unknown_labels) == ("labels", (1, 2, 3), 2)
    assert found.to_json()["unknown_labels"] == 2
    right = found.probabilities(gathered.sides["image"].inputs).argmax(1) == np.arange(8) % 4
    assert found.taught.accuracy == pytest.approx(right[np.arange(8) % 4 > 0].mean())


def test_too_few_items_are_not_compared_as_sets(model, gathered, monkeypatch):
    monkeypatch.setattr(extractors, "FEWEST", 8)
    few = {name: side._replace(inputs=side.inputs[:4]) for name, side in gathered.sides.items()}
    assert extractors.fit_extractors(model, gathered._replace(sides=few), 0) == {}


def test_clips_are_told_whose_ratio_of_signal_to_distortion_is_no_number(
    model, gathered, config, monkeypatch
):
    sounds = gathered.sides["audio"]._replace(inputs=gathered.sides["audio"].inputs.copy())
    sounds.inputs[0] = 0.0

    def griffin_lim(mels, settings):
        """As it may come out: rebuilt as silence, exactly, and two as noise."""
        made = np.random.default_rng(0).normal(size=sounds.inputs.shape).astype("float32")
        made[1], made[2] = 0.0, sounds.inputs[2]
        return made

    monkeypatch.setattr(reconstruction, "waveforms", griffin_lim)
    cases = Cases()
    alone = gathered._replace(sides={"audio": sounds}, training={})
    found = reconstruction.reconstruction_section(model, alone, config, cases=cases)["audio"]
    assert found["si_sdr_clips"] == {"silent_originals": 1, "silent_rebuilt": 1, "exact": 1}
    held = cases["reconstruction.audio.si_sdr"]
    assert held.ids.tolist() == sounds.encoded.ids[1:].tolist() and found["si_sdr"]["n"] == 7
    assert held.values[:2].tolist() == [-100.0, 100.0] and np.isfinite(held.values).all()
    assert found["si_sdr"]["value"] == pytest.approx(held.values.mean(), rel=1e-5)
    silent = alone._replace(sides={"audio": sounds._replace(inputs=0 * sounds.inputs)})
    found = reconstruction.reconstruction_section(model, silent, config)["audio"]
    assert "si_sdr" not in found and found["si_sdr_clips"]["silent_originals"] == 8


def test_rebuilt_items_are_compared_as_pairs(judged):
    """Against the items' own kernel distance, no item beside what was made of it."""
    *_, figures, cases = judged
    held = cases["reconstruction.image.frechet"]
    wanted = kernel_distance(held.real, held.rebuilt, 30, paired=True)
    assert figures["reconstruction"]["image"]["kernel"]["value"] == pytest.approx(wanted.value, rel=1e-6)
