"""Pictures or recordings alone: prepared, trained, judged and shown by the commands."""

import json

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from vqmm.evaluation.comparison import run_figures, spreads
from vqmm.report.comparison import render_comparison
from vqmm.report.gallery import load_gallery
from vqmm.training.metrics_log import read_metrics

COUNTS = {"train": 24, "validation": 6, "test": 8}


def write_items(folder, modality):
    """A manifest of items that differ in brightness or in pitch."""
    rng = np.random.default_rng(0)
    lines = [f"{modality},split"]
    for split, count in COUNTS.items():
        for n in range(count):
            name = f"{split}{n}" + (".png" if modality == "image" else ".wav")
            if modality == "image":
                picture = rng.integers(0, 200, (16, 16)) + 7 * (n % 8)
                Image.fromarray(picture.astype("uint8")).save(folder / name)
            else:
                time = np.arange(900) / 2000
                soundfile.write(folder / name, 0.5 * np.sin(2 * np.pi * (150 + 90 * (n % 8)) * time), 2000)
            lines.append(f"{name},{split}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("kind", "modality", "figure"),
    [
        pytest.param("vae", "image", "psnr", marks=pytest.mark.slow),
        ("vqvae", "audio", "log_mel_l1"),
    ],
)
def test_one_modality_from_manifest_to_page(verb, tiny_config, tmp_path, kind, modality, figure):
    write_items(tmp_path, modality)
    tree = tiny_config.model_dump(mode="json")
    tree["name"], tree["model"]["kind"], tree["data"]["pair_by"] = "one", kind, "item"
    tree["evaluate"] |= {"bootstrap": 30, "examples": 2}
    config, data, run = tmp_path / "one.yaml", tmp_path / "data", tmp_path / "run"
    config.write_text(yaml.safe_dump(tree))
    manifest = ("--manifest", tmp_path / "manifest.csv", "--workers", 1)
    for said in (
        verb("prepare", *manifest, "--config", config, "--out", data),
        verb("train", "--config", config, "--data", data, "--run", run),
    ):
        assert said.status == 0, said
    assert "the loss tells which model is the best" in said.out + said.err
    measured = [line for line in read_metrics(run / "metrics.jsonl") if line["split"] == "validation"]
    assert [line["step"] for line in measured] == [6, 12]
    other = {"image": "audio", "audio": "image"}[modality]
    for line in measured:
        assert line[f"reconstruction_{modality}"] > 0 and line[f"reconstruction_{other}"] == 0
        assert "retrieval_map" not in line
    said = verb("evaluate", "--run", run, "--data", data)
    assert said.status == 0, said
    figures = json.loads((run / "evaluation.json").read_text())
    assert f"{figures['reconstruction'][modality][figure]['value']:.3f}" in said.out
    assert set(figures["reconstruction"]) == {modality} and "retrieval" not in figures

    if kind != "vae":
        export = ("--run", run, "--data", data, "--out", tmp_path / "export")
        said = verb("export", *export, "--formats", "saved_model", "--verify", "--json")
        assert said.status == 0, said
        parity = json.loads(said.out)["parity"]["saved_model"]
        assert set(parity["signatures"]) == {"encode_audio", "decode_audio", "encode_audio_bytes"}
        assert parity["agreement"] == 1
        said = verb("export", *export, "--formats", "litert_int8").refusal()
        assert "there are no pictures" in said

    gallery = load_gallery(run / "report" / "gallery.npz")
    assert len(gallery.pictures) == (8 if modality == "image" else 0)
    assert len(gallery.sounds) == len(gallery.drawn_sounds) == (3 if modality == "audio" else 0)
    row = {"what": "one", "config": "one.yaml", "figures": spreads([run_figures(run, 0.9)])}
    page = render_comparison([{**row, "gallery": gallery, "sample_rate": 2000}], 1, 0.9)
    assert page.count("<audio") == (9 if modality == "audio" else 0)  # originals, rebuilt, drawn
