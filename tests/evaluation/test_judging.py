"""The whole of evaluation.json, and reconstruction against figures made by hand."""

import dataclasses
import json

import librosa
import numpy as np
import pytest

from vqmm.config import Config
from vqmm.evaluation import evaluate, gather_material, judge, rebuild
from vqmm.evaluation.cases import Cases
from vqmm.evaluation.reconstruction import reconstruction_section
from vqmm.models import Codes, build_model


@pytest.fixture(scope="module")
def config(tiny_config):
    fewer = tiny_config.evaluate.model_copy(update={"bootstrap": 30})
    return tiny_config.model_copy(update={"evaluate": fewer})


@pytest.fixture(scope="module")
def model(config):
    return build_model(config)


@pytest.fixture(scope="module")
def gathered(model, tiny_data, config):
    """Items of both splits, as the model encodes them."""
    return gather_material(model, tiny_data, config, "test")


@pytest.fixture(scope="module")
def figures(model, tiny_data, config):
    log = [{"step": 12, "split": "train", "seconds": 3.0, "loss": 1.0}]
    return evaluate(model, tiny_data, config, "test", log)


@pytest.fixture(scope="module")
def vae(tiny_data, config):
    """The same without codes: its config, the model and its figures."""
    tree = config.model_dump()
    tree["model"]["kind"] = "vae"
    config = Config.model_validate(tree)
    model = build_model(config)
    return config, model, evaluate(model, tiny_data, config, "test")


def is_figure(tree):
    if tree["ci95"] is not None:
        low, high = tree["ci95"]
        assert low <= tree["value"] <= high
    return np.isfinite(tree["value"]) and tree["n"] >= 1


def test_layout(figures):
    for direction in ("audio_to_image", "image_to_audio"):
        for scorer in ("continuous", "code_distance", "asymmetric", "exact"):
            row = figures["retrieval"][direction][scorer]
            for name in ("map", "r1", "r5", "r10", "median_rank"):
                assert is_figure(row[name]) and row[name]["ci95"]
                assert row[name]["chance"] == row["chance"][name]
        assert is_figure(figures["transfer"][direction]["across"])
    for name in ("usage", "perplexity", "entropy_ratio", "pair_agreement", "exclusive", "js_divergence"):
        assert is_figure(figures["codebook"][name])
    assert set(figures["codebook"]["ranges"]) == {"shared", "image", "audio"}
    for name in ("mse", "psnr", "ssim"):
        assert is_figure(figures["reconstruction"]["image"][name])
        assert is_figure(figures["reconstruction"]["image"]["shared_only"][name])
    for name in ("log_mel_l1", "multiscale_mel", "vocoder_floor"):
        assert is_figure(figures["reconstruction"]["audio"][name])
    for name, value in {"train_seconds": 3.0, "steps_per_second": 4.0, "bytes_per_item": 2.0}.items():
        assert figures["cost"][name]["value"] == value
    assert figures["relevance"] == "label" and figures["label_supervision"]["by_class"] is True
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_the_same_again(model, tiny_data, config, figures):
    again = evaluate(model, tiny_data, config, "test", [{"step": 12, "split": "train", "seconds": 3.0}])
    assert again == figures


@pytest.mark.parametrize("kind", ["vqvae", "vae"])
def test_cases_are_what_the_figures_are_means_of(tiny_data, config, kind):
    tree = config.model_dump()
    tree["model"]["kind"] = kind
    config = Config.model_validate(tree)
    model, cases = build_model(config), Cases()
    material = gather_material(model, tiny_data, config, "test")
    figures = judge(model, material, tiny_data, config, "test", cases=cases)
    wanted = {"retrieval.audio_to_image.continuous.map", "reconstruction.image.cross_entropy"}
    coded = {"retrieval.image_to_audio.exact.map", "retrieval.audio_to_image.asymmetric.map"}
    assert wanted | (coded if kind == "vqvae" else set()) <= set(cases)
    for path, held in cases.items():
        figure = figures
        for part in path.split("."):
            figure = figure[part]
        assert held.values.mean() == pytest.approx(figure["value"], rel=1e-5) and len(held.ids) == figure["n"]
        source = "image" if "image_to" in path or "reconstruction.image" in path else "audio"
        assert set(held.ids) <= set(material.sides[source].encoded.ids)


def test_the_very_item_is_asked_for_where_pairs_are_finer_than_labels(
    model, tiny_data, config, figures, gathered
):
    assert "retrieval_same_item" not in figures
    sides = {
        name: side._replace(encoded=side.encoded._replace(items=np.arange(8)))
        for name, side in gathered.sides.items()
    }
    paired = gathered._replace(sides=sides, pair_by="item")
    found = judge(model, paired, tiny_data, config, "test")
    assert found["relevance"] == "label"
    assert found["retrieval_same_item"]["audio_to_image"]["exact"]["r1"]["chance"] == pytest.approx(1 / 8)
    assert found["codebook"]["pair_agreement"]["n"] == 8


def test_evaluation_reports_what_its_intervals_assume_and_how_labels_count(
    model, tiny_data, config, figures, gathered
):
    assert figures["intervals"]["unit"] == "item" and "voice" in figures["intervals"]["note"]
    assert "relevance_note" not in figures  # all items have a label
    labels = np.where(np.arange(8) == 0, 3, -1)
    sides = {
        name: side._replace(encoded=side.encoded._replace(items=np.arange(8), labels=labels))
        for name, side in gathered.sides.items()
    }
    found = judge(model, gathered._replace(sides=sides, training={}), tiny_data, config, "test")
    assert found["relevance"] == "item" and found["relevance_note"].startswith("2 of 16 items have a label")
    assert found["retrieval"]["audio_to_image"]["exact"]["map"]["n"] == 8  # none is dropped


def test_a_grid_has_tokens_without_places(tiny_data, config):
    grid = config.model_copy(update={"model": config.model.model_copy(update={"layout": "grid"})})
    model = build_model(grid)
    found = evaluate(model, tiny_data, grid, "test")
    assert "bags of codes" in found["scorers"]["exact"]
    for direction in found["retrieval"].values():
        assert set(direction) == {"continuous", "code_distance", "asymmetric", "exact", "kmeans"}
    assert is_figure(found["codebook"]["pair_agreement"]) and "agreement_by_slot" not in found["codebook"]
    cells = {name: encoder.grid_shape[0] * encoder.grid_shape[1] for name, encoder in model.encoders.items()}
    assert cells["audio"] != cells["image"]
    for name, key in (("audio", "bits_per_recording"), ("image", "bits_per_picture")):
        # A shared code of 4 and, where there is one, a private code of 8 at each place.
        each = 2 + 3 * (model.private_range(name) is not None)
        assert found["cost"][key]["value"] == pytest.approx(each * cells[name])


@pytest.mark.parametrize(("modality", "missing"), [("image", "recordings"), ("audio", "pictures")])
@pytest.mark.parametrize("kind", ["vqvae", "vae"])
def test_one_modality_alone_is_judged_as_beside_the_other(
    model, tiny_data, config, figures, vae, kind, modality, missing
):
    if kind == "vae":
        config, model, figures = vae
    counts = {split: {**held, missing: 0} for split, held in tiny_data.counts.items()}
    alone = evaluate(model, dataclasses.replace(tiny_data, counts=counts), config, "test")
    asked_for_the_other = {"retrieval", "transfer", "relevance", "label_supervision", "scorers"}
    assert set(figures) - set(alone) == asked_for_the_other & set(figures)
    assert alone["reconstruction"] == {modality: figures["reconstruction"][modality]}
    assert alone["data"][missing] == alone["data"][f"{missing}_sampled"] == 0
    if kind == "vae":
        assert alone["latents"] == {modality: figures["latents"][modality]}
        return
    whole = figures["codebook"][modality]
    assert alone["codebook"] == {
        **whole,
        modality: whole,
        "ranges": {"shared": whole, modality: figures["codebook"]["ranges"][modality]},
    }
    names = {"image": "bits_per_picture", "audio": "bits_per_recording"}
    assert alone["cost"][names[modality]] == figures["cost"][names[modality]]


def test_reconstruction_by_hand(model, config, gathered):
    found = reconstruction_section(model, gathered, config)
    image, audio = gathered.sides["image"], gathered.sides["audio"]
    codes = Codes(image.encoded.shared, image.encoded.private)
    rebuilt = np.asarray(model.decode(codes, "image"))
    errors = ((rebuilt - image.inputs) ** 2).mean(axis=(1, 2, 3))
    assert found["image"]["mse"]["value"] == pytest.approx(errors.mean(), rel=1e-5)
    assert found["image"]["psnr"]["value"] == pytest.approx(np.mean(-10 * np.log10(errors)), rel=1e-5)
    alone = np.asarray(model.decode(Codes(audio.encoded.shared, None), "audio"))
    spec = config.model.log_mel
    mels = librosa.feature.melspectrogram(
        y=audio.inputs, sr=2000, n_fft=spec.n_fft, hop_length=spec.hop_length, n_mels=spec.mels,
        htk=True, norm=None, pad_mode="constant",
    )  # fmt: skip
    original = np.log10(np.maximum(mels[..., :32], 1e-5)).swapaxes(1, 2)[..., None]
    l1 = np.abs(alone - original).mean()
    assert found["audio"]["shared_only"]["log_mel_l1"]["value"] == pytest.approx(l1, rel=1e-3)
    np.testing.assert_allclose(rebuild(model, image, np.array([3, 1])), rebuilt[[3, 1]], atol=1e-5)
