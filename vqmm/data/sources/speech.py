"""Speaks a list of takes in fresh processes and says how each clip came out.

A take is one voice saying a list of texts in one manner. eSpeak NG's state is
global and runs on from clip to clip, so every batch of takes has a process of
its own: what a clip sounds like then depends on the seed alone, not on how many
processes work at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import soundfile

from vqmm.data.sources.espeak import SAMPLE_RATE, Delivery, Speaker

TAKES_PER_PROCESS = 64
FEATURE_SHAPE = (24, 20)  # frames of the spoken part, bands


class Take(NamedTuple):
    """One voice, one manner, many texts. Clip i is written to ``{stem}-{i}.flac``."""

    stem: str
    voice: str
    texts: Sequence[str]
    phonemes: bool
    delivery: Delivery


class Spoken(NamedTuple):
    """What came of a take: per text, the clip's file and figures to judge it by."""

    files: list[str]
    seconds: np.ndarray  # f32[texts], of the part within 40 dB of the loudest
    clipped: np.ndarray  # f32[texts], share of samples at full scale
    features: np.ndarray  # f32[texts, frames, bands], log spectrum of that part, zero mean


def speak_takes(
    takes: Sequence[Take],
    variants: Mapping[str, str],
    folder: Path,
    seed: int,
    *,
    workers: int = 0,
    on_take: Callable[[int], None] | None = None,
) -> list[Spoken]:
    """Speaks every take into `folder`.

    Args:
        takes: what to say.
        variants: extra voice variants, name → text of the variant file.
        folder: where the FLAC files go; it exists.
        seed: of eSpeak's noise.
        workers: processes at a time; 0 = one per processor.
        on_take: called with the number of takes that were finished since the last call.

    Returns:
        One `Spoken` per take, in order.
    """
    batches = [takes[i : i + TAKES_PER_PROCESS] for i in range(0, len(takes), TAKES_PER_PROCESS)]

    def one(index: int) -> list[Spoken]:
        spoken = _in_process(batches[index], variants, folder, seed + index)
        if on_take:
            on_take(len(spoken))
        return spoken

    with ThreadPoolExecutor(workers or joblib.cpu_count()) as pool:
        return [take for batch in pool.map(one, range(len(batches))) for take in batch]


def _in_process(takes: Sequence[Take], variants: Mapping[str, str], folder: Path, seed: int) -> list[Spoken]:
    with tempfile.TemporaryDirectory(prefix="vqmm-") as temporary:
        answer = Path(temporary) / "spoken.npz"
        used = {take.voice.partition("+")[2] for take in takes}
        job = {
            "takes": [[*take[:4], list(take.delivery)] for take in takes],
            "variants": {name: text for name, text in variants.items() if name in used},
            "folder": str(folder.resolve()),
            "answer": str(answer),
            "seed": seed,
        }
        root = str(Path(__file__).resolve().parents[3])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=json.dumps(job),
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the speech process stopped with {done.returncode}: {done.stderr[-2000:]}")
        with np.load(answer) as saved:
            arrays = {name: saved[name] for name in saved.files}
    return list(_split(takes, arrays))


def _split(takes: Sequence[Take], arrays: Mapping[str, np.ndarray]) -> Iterator[Spoken]:
    start = 0
    for take in takes:
        stop = start + len(take.texts)
        files = [f"{take.stem}-{i}.flac" for i in range(len(take.texts))]
        yield Spoken(files, *(arrays[name][start:stop] for name in ("seconds", "clipped", "features")))
        start = stop


def describe(clip: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Returns seconds of speech, share of clipped samples and f32[frames, bands] of an int16 clip."""
    frames, bands = FEATURE_SHAPE
    window, hop = 512, 220
    samples = np.pad(clip.astype(np.float32) / 32768, (0, window))
    windows = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
    power = np.abs(np.fft.rfft(windows * np.hanning(window), axis=1)) ** 2
    loud = power.sum(axis=1)
    spoken = np.flatnonzero(loud > max(loud.max() * 1e-4, 1e-3))
    clipped = float(np.mean(np.abs(clip.astype(np.int32)) >= 32767)) if len(clip) else 0.0
    if not len(spoken):
        return 0.0, clipped, np.zeros(FEATURE_SHAPE, np.float32)
    power = power[spoken[0] : spoken[-1] + 1]
    # Bands of equal width on a scale that is linear to 1 kHz and logarithmic above, like the ear's.
    edges = 700 * (10 ** (np.linspace(80, 2900, bands + 1) / 2595) - 1)
    bins = np.unique(np.round(edges / SAMPLE_RATE * window).astype(int).clip(1))
    bands_power = np.add.reduceat(power, bins[:-1], axis=1)
    bands_power = np.pad(bands_power, ((0, 0), (0, bands - bands_power.shape[1])), mode="edge")
    logs = np.log10(bands_power + 1e-6 * bands_power.max())
    places = np.linspace(0, len(logs) - 1, frames)
    feature = np.stack([np.interp(places, np.arange(len(logs)), column) for column in logs.T], axis=1)
    return (spoken[-1] - spoken[0] + 1) * hop / SAMPLE_RATE, clipped, (feature - feature.mean()).astype("f4")


def _speak_job(job: Mapping[str, object]) -> None:
    folder, described = Path(str(job["folder"])), []
    with Speaker(job["variants"], int(str(job["seed"]))) as speaker:  # type: ignore[arg-type]
        for stem, voice, texts, phonemes, delivery in job["takes"]:  # type: ignore[attr-defined]
            for i, text in enumerate(texts):
                clip = speaker.speak(text, voice, Delivery(*delivery), phonemes)
                soundfile.write(folder / f"{stem}-{i}.flac", clip, SAMPLE_RATE, subtype="PCM_16")
                described.append(describe(clip))
    seconds, clipped, features = zip(*described, strict=True)
    np.savez(
        str(job["answer"]),
        seconds=np.asarray(seconds, "f4"),
        clipped=np.asarray(clipped, "f4"),
        features=np.stack(features),
    )


if __name__ == "__main__":
    _speak_job(json.load(sys.stdin))
