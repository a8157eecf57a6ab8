"""Writes small files of the stack that runs this: shards, a run, token files, an index, and what they mean.

    PYTHONPATH=. .venv/bin/python tests/stacks/write_files.py tests/stacks/newest
    PYTHONPATH=. .venv-oldest/bin/python tests/stacks/write_files.py tests/stacks/oldest

`test_stacks.py` reads the files of both stacks on either. They are written anew where a format changes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import soundfile
from PIL import Image

from vqmm.config import Config
from vqmm.data.decode import decode_audio_record, decode_image_record
from vqmm.data.prepare import prepare
from vqmm.data.records import Dataset
from vqmm.data.stored_audio import stored_audio
from vqmm.encoding import Encoded, codebook_fingerprint, encode_split, tokens_of
from vqmm.models import VQVAE
from vqmm.retrieval.model_index import add_split, index_for, query_values
from vqmm.tokens import save_tokens
from vqmm.training.loop import train
from vqmm.training.metrics_log import read_metrics
from vqmm.training.model_file import save_model
from vqmm.training.run_folder import RunFolder, open_run

RATE = 2000
COUNTS = {"train": 8, "validation": 4, "test": 4}
# What each stored form of recordings adds to the config.
FORMS: dict[str, dict[str, Any]] = {"wav": {"stored_as": "wav"}, "flac": {"stored_as": "flac"}}
MODALITIES = ("audio", "image")
ADDED_STEPS = 4
# The best code must win by so much: float rounding, which differs by stack, must not change a code.
LEAST_MARGIN = 1e-4


def config_of(form: str) -> Config:
    """The config of the files: four labels, tones and stripes, shared, private and fine codes."""
    return Config.model_validate(
        {
            "name": "stacks",
            "data": {
                "pair_by": "label",
                "audio": {"sample_rate": RATE, "samples": 512, **FORMS[form]},
                "image": {"height": 8, "width": 8, "channels": 1},
            },
            "model": {
                "slots": 2,
                "filters": [4],
                "log_mel": {"n_fft": 64, "hop_length": 32, "mels": 16},
                "quantizer": {"dim": 4, "shared": 4, "image": 8, "audio": 4, "fine": 4},
            },
            "schedule": {"quantize_from": 4, "kmeans_batches": 1},
            "train": {
                "steps": 8,
                "batch_size": 8,
                "warmup_steps": 2,
                "validate_every": 8,
                "checkpoint_every": 8,
                "keep_checkpoints": 1,
                "model": "last",
                "tensorboard": False,
            },
            "evaluate": {"batch_size": 8},
        }
    )


def write_data(form: str, out: Path) -> Dataset:
    """Prepares tones whose pitch, and stripes whose direction, depend on the label."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = ["audio,image,label,split"]
        for split, count in COUNTS.items():
            for n in range(count):
                label = n % 4
                time = np.arange(400 + 20 * n) / RATE
                tone = 0.5 * np.sin(2 * np.pi * (150 + 180 * label) * time)
                noisy = tone + 0.02 * rng.standard_normal(len(time))
                soundfile.write(folder / f"{split}{n}.wav", noisy, RATE, subtype="PCM_16")
                y, x = np.mgrid[:8, :8]
                angle = label * np.pi / 4
                wave = np.sin(x * np.cos(angle) + y * np.sin(angle) + rng.uniform(0, 6))
                Image.fromarray((127 + 120 * wave).astype("uint8")).save(folder / f"{split}{n}.png")
                lines += [f"{split}{n}.wav,,{label},{split}", f",{split}{n}.png,{label},{split}"]
        (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
        return prepare(
            folder / "manifest.csv", config_of(form), out, name="stacks", workers=1, progress=False
        ).dataset


def decoded_sha256(dataset: Dataset) -> dict[str, str]:
    """Hashes of the decoded test records by modality: samples i16[n], pixels u8[H, W, C]."""
    held = dataset.split("test")
    decoders = {
        "audio": lambda data: decode_audio_record(data, stored_audio(bytes(data))),
        "image": decode_image_record,
    }
    found = {}
    for modality, records in zip(MODALITIES, held, strict=True):
        digest = hashlib.sha256()
        for data in records.data:
            digest.update(np.asarray(decoders[modality](data)).tobytes())
        found[modality] = digest.hexdigest()
    return found


def smallest_margin(model: VQVAE, values: Any, modality: str) -> float:
    """Returns the least lead of the nearest code over the second, over all kinds of codes and all tokens.

    Args:
        model: with codes.
        values: f32[n, samples] or f32[n, H, W, C].
        modality: of the values.
    """
    _, latents = model._latents(**{name: values if name == modality else None for name in MODALITIES})
    scores = [
        np.asarray(model.quantizer.similarities(latents.shared, "shared")),
        np.asarray(model.quantizer.similarities(latents.private, model.private_range(modality))),
    ]
    tables = model.fine_tables()
    left = np.asarray(model.residual(**{modality: values}))
    scores.append(np.einsum("nsd,scd->nsc", left, tables) - 0.5 * np.square(tables).sum(-1))
    best = [np.sort(one, axis=-1) for one in scores]
    return min(float((one[..., -1] - one[..., -2]).min()) for one in best)


def place_private_codes(model: VQVAE, values: Any, modality: str, draws: int = 2000) -> None:
    """Puts the private codes on latents of tokens: of many draws, the one that decides most clearly.

    Args:
        model: whose codes are placed.
        values: f32[n, samples] or f32[n, H, W, C], the items that are to be clear.
        modality: of the values.
        draws: how many are compared.
    """
    name = model.private_range(modality)
    start, stop = model.quantizer.range_of(name)
    _, latents = model._latents(**{other: values if other == modality else None for other in MODALITIES})
    tokens = np.asarray(model.quantizer.receive(latents.private, name)).reshape(-1, model.quantizer.dim)
    rng = np.random.default_rng(0)
    best, chosen = 0.0, tokens[: stop - start]
    for _ in range(draws):
        codes = rng.choice(tokens, stop - start, replace=False)
        scores = np.sort(tokens @ codes.T, axis=-1)
        margin = float((scores[:, -1] - scores[:, -2]).min())
        if margin > best:
            best, chosen = margin, codes
    model.quantizer.place(name, chosen)


def items_of_test(dataset: Dataset, config: Config, modality: str) -> Any:
    """The values of the test split, f32[n, samples] or f32[n, H, W, C]."""
    from vqmm.data.batches import evaluation_batches

    return next(iter(evaluation_batches(dataset, config, "test", modality, 8)))[modality]


def search(index: Any, model: VQVAE, encoded: Encoded) -> dict[str, Any]:
    """Ranks all items of the other modality for each query: ids and scores."""
    other = MODALITIES[encoded.modality == "audio"]
    hits = index.search(query_values(model, encoded), index.count(other), other)
    ids = [[item.id for item in items] for items in hits.items]
    return {"ids": ids, "scores": hits.scores.tolist()}


def continued_loss(run: Path, dataset: Dataset, copy: Path) -> float:
    """Adds steps to a copy of a finished run.

    Args:
        run: to copy.
        dataset: that it was trained on.
        copy: where to, a folder that does not exist yet.

    Returns:
        The loss of the last added step.
    """
    shutil.copytree(run, copy)
    config = open_run(copy).config
    steps = config.train.steps + ADDED_STEPS
    train(
        config.model_copy(update={"train": config.train.model_copy(update={"steps": steps})}), dataset, copy
    )
    lines = [line for line in read_metrics(RunFolder(copy).metrics) if line["split"] == "train"]
    if lines[-1]["step"] != steps:
        raise RuntimeError(f"the run went on to step {lines[-1]['step']}, not {steps}")
    return float(lines[-1]["loss"])


def main() -> None:
    """Writes the files of this stack."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder to write, replaced where it exists")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=[*FORMS], help="stored forms of audio")
    args = parser.parse_args()
    out: Path = args.out
    shutil.rmtree(out, ignore_errors=True)
    datasets = {form: write_data(form, out / f"data-{form}") for form in args.forms}
    first = args.forms[0]
    config, dataset = config_of(first), datasets[first]
    train(config, dataset, out / "run")
    run = open_run(out / "run")
    model = run.model
    # After few steps all items of a modality have one code: two codes are put on latents of each.
    latents = [encode_split(model, dataset, config, "test", m).embeddings[[0, 2], 0] for m in MODALITIES]
    model.quantizer.place("shared", np.concatenate(latents))
    for modality in MODALITIES:
        place_private_codes(model, items_of_test(dataset, config, modality), modality)
    save_model(model, out / "run" / "model.keras")

    index = index_for(model, config, vectors=True)
    add_split(index, model, dataset, config, "test")
    index.save(out / "index")
    with tempfile.TemporaryDirectory() as scratch:
        loss = continued_loss(out / "run", dataset, Path(scratch) / "run")
    expected: dict[str, Any] = {
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("tensorflow", "keras", "numpy")},
        "fingerprint": codebook_fingerprint(model),
        "checksums": {form: dataset.checksum for form, dataset in datasets.items()},
        "decoded_sha256": {form: decoded_sha256(dataset) for form, dataset in datasets.items()},
        "continued_loss": loss,
        "hits": {},
        "margins": {},
    }
    arrays = {}
    for modality in MODALITIES:
        encoded = encode_split(model, dataset, config, "test", modality)
        records = dataset.split("test")[MODALITIES.index(modality)]
        tokens = tokens_of(model, config, encoded, records.lengths, dataset.labels)
        save_tokens(out / "tokens" / f"{modality}-test.npz", tokens)
        items = items_of_test(dataset, config, modality)
        margin = smallest_margin(model, items, modality)
        if margin < LEAST_MARGIN:
            raise RuntimeError(
                f"a code of {modality} wins by {margin:.2g} only; change the items or the placement of codes"
            )
        expected["margins"][modality] = margin
        expected["hits"][modality] = search(index, model, encoded)
        for name in ("embeddings", "shared", "private", "fine"):
            arrays[f"{modality}.{name}"] = getattr(encoded, name)
        arrays[f"{modality}.rebuilt"] = keras.ops.convert_to_numpy(model.reconstruct(items, modality))
    np.savez_compressed(out / "expected.npz", **arrays)
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    shutil.rmtree(out / "run" / "checkpoints" / "best")  # it holds what model.keras and the last one hold
    for path in out.rglob("lock"):
        path.unlink()


if __name__ == "__main__":
    main()
