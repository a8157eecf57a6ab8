"""evaluate with a classifier that the user names, through the command line."""

import json
import shutil

import keras
import numpy as np
import pytest
import yaml

from vqmm.encoding import KINDS
from vqmm.evaluation import gather_material
from vqmm.evaluation.cases import CASES, Cases
from vqmm.evaluation.extractors import as_seen, fingerprint, unscaled
from vqmm.metrics import classifier_score, frechet_distance, kernel_distance
from vqmm.training.run_folder import open_run

SIZES = {"image": (16, 16, 1), "audio": (32, 16, 1)}  # of the tiny data's pictures and log-mel


def classifier(modality, classes=4, width=6, seed=0):
    """With fresh weights: how well it knows the labels does not matter here."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input(SIZES[modality]),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(width, activation="relu"),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    """A copy of the run with few resamples and few drawn items."""
    folder = tmp_path_factory.mktemp("judged") / "run"
    shutil.copytree(tiny_run, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["evaluate"] |= {"bootstrap": 30, "examples": 2, "generated": 20}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_sets_are_compared_in_the_features_of_the_named_classifier(verb, run, tiny_data, tmp_path):
    models = {name: classifier(name, classes) for name, classes in (("image", 4), ("audio", 7))}
    words = []
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
        words += [f"--{name}-extractor", tmp_path / f"{name}.keras"]
    said = verb("evaluate", "--run", run, "--data", tiny_data.folder, "--out", tmp_path / "out", *words)
    assert said.status == 0, said
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    made, cases = figures["generation"], Cases.load(tmp_path / "out" / CASES)
    opened = open_run(run)
    material = gather_material(opened.model, tiny_data, opened.config, "test")
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    for name, model in models.items():
        path, mark = str(tmp_path / f"{name}.keras"), fingerprint(model)
        told = made["named"][name]
        assert (told["kind"], told["path"], told["fingerprint"]) == ("named", path, mark)
        assert f"{path} ({told['classes']} classes, fingerprint {mark})" in page
        held = cases[f"reconstruction.{name}.frechet"]
        assert held.judge == mark and held.real.shape == (8, 6)
        items = as_seen(opened.model, material.sides[name])
        seen = unscaled(items) if name == "audio" else items
        embedder = keras.Model(model.inputs[0], model.layers[-2].output)
        np.testing.assert_allclose(held.real, embedder(seen), atol=1e-4)
        rebuilt = figures["reconstruction"][name]
        wanted = frechet_distance(held.real, held.rebuilt, 0).value
        assert rebuilt["frechet"]["value"] == pytest.approx(wanted, rel=1e-4, abs=1e-9)
        wanted = kernel_distance(held.real, held.rebuilt, 2, paired=True).value
        assert rebuilt["kernel"]["value"] == pytest.approx(wanted, rel=1e-4, abs=1e-9)
        score = made["unconditional"][name]["classifier_score"]
        assert 1 <= score["value"] <= told["classes"] and score["n"] == 20
        assert {"frechet", "kernel", "precision", "recall"} < set(made["unconditional"][name])
    labels = material.sides["image"].encoded.labels
    right = np.asarray(models["image"](material.sides["image"].inputs)).argmax(1) == labels
    assert made["named"]["image"]["accuracy"] == pytest.approx(right.mean())
    assert made["named"]["audio"]["accuracy"] is None  # its classes are not the labels
    # Too few items are there to teach a network of our own: nothing else is measured in features.
    assert made["extractors"] == {} and "perceptual" not in figures["reconstruction"]["image"]
    real = np.asarray(models["image"](material.sides["image"].inputs))
    assert classifier_score(real).value <= 4


def test_what_is_no_classifier_of_these_items_is_told_in_one_line(verb, run, tiny_data, tmp_path):
    def refusal(model, name="image", folder=run):
        path = tmp_path / "mine.keras"
        if isinstance(model, bytes):
            path.write_bytes(model)
        elif model is not None:
            model.save(path)
        out = ("--out", tmp_path / "out")
        said = verb(
            "evaluate", "--run", folder, "--data", tiny_data.folder, *out, f"--{name}-extractor", path
        ).refusal()
        assert str(path) in said and not (tmp_path / "out").exists()
        return said

    assert "no such .keras file" in refusal(None)
    assert "cannot be read" in refusal(b"no archive")
    whole = classifier("image")
    assert "takes f32[B, 16, 16, 1], and the model's features of recordings are f32[B, 32, 16, 1]" in refusal(
        whole, "audio"
    )
    bare = keras.Model(whole.inputs[0], whole.layers[-2].output)
    assert "gives f32[B, 6] by its last layer" in refusal(bare) and "ends in a softmax" in refusal(bare)
    twice = keras.Model(whole.inputs[0], [*whole.outputs, whole.layers[-2].output])
    assert "one input and one output" in refusal(twice)
    flat = keras.Sequential(
        [keras.Input(SIZES["image"]), keras.layers.UpSampling2D(5), keras.layers.Flatten()]
        + [keras.layers.Dense(2, activation="softmax")]
    )
    assert "gives its last layer 6400 numbers an item" in refusal(flat)
    none = tmp_path / "none"
    shutil.copytree(run, none)
    config = yaml.safe_load((none / "config.yaml").read_text())
    config["evaluate"]["generated"] = 0
    (none / "config.yaml").write_text(yaml.safe_dump(config))
    assert "evaluate.generated=0" in refusal(whole, folder=none)
    data = tmp_path / "data"
    shutil.copytree(tiny_data.folder, data)
    tree = json.loads((data / "dataset.json").read_text())
    tree["counts"]["test"][KINDS["image"]] = 0
    (data / "dataset.json").write_text(json.dumps(tree))
    alone = verb(
        "evaluate", "--run", run, "--data", data, "--image-extractor", tmp_path / "mine.keras"
    ).refusal()
    assert "the split has 0 pictures" in alone


@pytest.mark.slow
def test_a_prior_is_judged_by_it_as_well(verb, tiny_run, tiny_data, tmp_path):
    config, run = tmp_path / "prior.yaml", tmp_path / "prior"
    config.write_text(
        yaml.safe_dump(
            {
                "name": "tiny-prior",
                "prior": {"dim": 8, "depth": 1, "heads": 2, "sampling": {"steps": 2}},
                "train": {
                    "steps": 2, "batch_size": 8, "warmup_steps": 1, "monitor": "loss", "validate_every": 2,
                    "checkpoint_every": 2, "tensorboard": False,
                },
                "evaluate": {"batch_size": 8, "generated": 8, "bootstrap": 20},
            }
        )
    )  # fmt: skip
    words = ("--config", config, "--data", tiny_data.folder, "--run", run, "--tokenizer", tiny_run)
    assert verb("train", *words, "--json").status == 0
    path, model = tmp_path / "mine.keras", classifier("image")
    model.save(path)
    said = verb("evaluate", "--run", run, "--data", tiny_data.folder, "--image-extractor", path)
    assert said.status == 0 and "image, Fréchet distance" in said.out, said
    made = json.loads((run / "evaluation.json").read_text())["generation"]
    assert made["named"]["image"]["fingerprint"] == fingerprint(model) and made["extractors"] == {}
    assert set(made["unconditional"]) == {"image"} and "classifier_score" in made["unconditional"]["image"]
    page = (run / "report" / "index.html").read_text()
    assert f"pictures, as sets by the classifier {path}" in page and fingerprint(model) in page
