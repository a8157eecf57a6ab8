"""Our input pipeline, the loop of librosa and Pillow, or a training that is timed; see `benchmarks.input`."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.turns import serve

MADE_UP = 96  # items where the data itself is not at hand


def ours(task: dict[str, Any], augment: bool = False) -> None:
    """Batches of prepared shards, and their log-mel spectrograms."""
    import tensorflow as tf

    _threads(task)
    import keras

    from vqmm.config import check_config
    from vqmm.data.batches import training_batches
    from vqmm.data.records import Dataset
    from vqmm.models.build import log_mel_of

    config = check_config(task["config"])
    log_mel = log_mel_of(config)
    batches = training_batches(Dataset.open(task["data"]), config, augment=augment)
    iterator = iter(batches.map(lambda batch: (log_mel(batch["audio"]), batch["image"])))

    def run(count: int) -> None:
        for _ in range(count):
            next(iterator)

    run(3)  # what is prefetched is made before the first turn
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
    serve(run, {"versions": versions})


def augmented(task: dict[str, Any]) -> None:
    """As training sees them."""
    ours(task, augment=True)


def prepare(task: dict[str, Any]) -> None:
    """What `prepare` does to a recording and a picture."""
    from vqmm.config import check_config
    from vqmm.data.workers import encode_file

    config = check_config(task["config"])
    pairs = _pairs(task)

    def run(count: int) -> None:
        for _ in range(count * config.train.batch_size):
            for path, modality in zip(next(pairs), ("audio", "image"), strict=True):
                encode_file(Path(path), modality, config.data)

    run(1)
    serve(run, {})


def loop(task: dict[str, Any]) -> None:
    """Each file from the start, every time."""
    import librosa
    from librosa.effects import trim
    from PIL import Image

    audio, image = task["config"]["data"]["audio"], task["config"]["data"]["image"]
    spec, batch = task["config"]["model"]["log_mel"], task["config"]["train"]["batch_size"]
    window, pairs = audio["samples"], _pairs(task)

    def one(recording: str, picture: str) -> tuple[np.ndarray, np.ndarray]:
        sound, rate = librosa.load(recording, sr=audio["sample_rate"], mono=True)
        sound, _ = trim(sound, top_db=audio["trim_db"])
        sound = librosa.util.fix_length(sound, size=window)
        mel = librosa.feature.melspectrogram(
            y=sound,
            sr=rate,
            n_fft=spec["n_fft"],
            hop_length=spec["hop_length"],
            n_mels=spec["mels"],
            fmin=spec["fmin"],
            htk=True,
            norm=None,
        )
        mode = "L" if image["channels"] == 1 else "RGB"
        pixels = (
            Image.open(picture)
            .convert(mode)
            .resize((image["width"], image["height"]), Image.Resampling.BICUBIC)
        )
        return np.log10(np.maximum(mel, 1e-5)), np.asarray(pixels, np.float32) / 255.0

    def run(count: int) -> None:
        for _ in range(count):
            found = [one(*next(pairs)) for _ in range(batch)]
            np.stack([mel for mel, _ in found]), np.stack([pixels for _, pixels in found])

    run(1)
    serve(run, {"versions": {"librosa": version("librosa")}})


def waiting(task: dict[str, Any]) -> None:
    """Training by a config; keeps the time that `next(iterator)` takes beside that of all."""
    import tensorflow as tf

    _threads(task)
    from vqmm.config import check_config
    from vqmm.data.batches import training_batches
    from vqmm.data.records import Dataset
    from vqmm.models import build_model
    from vqmm.training.optimizer import compile_model
    from vqmm.training.step_runner import numbers_of

    config = check_config(task["config"])
    data = Dataset.open(task["data"]) if task["data"] else _made_up(config, Path(task["scratch"]))
    model: Any = build_model(config)
    compile_model(model, config)
    iterator = iter(training_batches(data, config).map(numbers_of))
    step = tf.function(lambda batch: model.train_step(batch)["loss"], autograph=False)
    spent = {"waiting": 0.0, "all": 0.0, "steps": 0}

    def run(count: int) -> None:
        for _ in range(count):
            start = time.perf_counter()
            batch = next(iterator)
            got = time.perf_counter()
            float(step(batch))
            spent["waiting"] += got - start
            spent["all"] += time.perf_counter() - start
            spent["steps"] += 1

    run(2)
    spent.update(waiting=0.0, all=0.0, steps=0)
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        end = time.perf_counter() + float(line)
        while time.perf_counter() < end:
            run(1)
        print(json.dumps({"share": spent["waiting"] / spent["all"], "steps": spent["steps"]}), flush=True)


def _made_up(config: Any, folder: Path) -> Any:
    """Noise of the config's lengths and sizes: what it costs does not hang on what it shows."""
    import soundfile
    from PIL import Image

    from vqmm.data.prepare import prepare

    rng, lines = np.random.default_rng(0), ["audio,image,split"]
    image, audio = config.data.image, config.data.audio
    for number in range(MADE_UP):
        samples = 0.2 * rng.standard_normal(int(audio.samples * rng.uniform(0.3, 1.5)))
        soundfile.write(folder / f"{number}.flac", samples, audio.sample_rate)
        pixels = rng.integers(0, 255, (image.height, image.width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines.append(f"{number}.flac,{number}.png,train")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return prepare(folder / "manifest.csv", config, folder / "data", workers=1, progress=False).dataset


def _pairs(task: dict[str, Any]) -> Iterator[tuple[str, str]]:
    files = task["files"]
    return zip(itertools.cycle(files["audio"]), itertools.cycle(files["image"]), strict=False)


def _threads(task: dict[str, Any]) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(task["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(task["threads"])


ROLES = {"ours": ours, "augmented": augmented, "prepare": prepare, "loop": loop, "waiting": waiting}


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    ROLES[given["role"]](given)
