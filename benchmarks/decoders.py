"""How many stored recordings are decoded a second of one core, by their stored form, and the disk they take.

    make bench-decoders
    python -m benchmarks.decoders --data data/digits [--native PYTHON] [--quick] [--json FILE]

The recordings of a prepared data set are laid end to end, brought to 16 kHz and cut into pieces of 1 s and
of 10 s. Each piece is stored in every form, and every decoder decodes batches of them in a graph of one
thread. The decoders take turns; rates are recordings a second of CPU time. The peer is FLAC decoded by
libsndfile, the one decoder of FLAC that runs with every TensorFlow. Before it is measured, each decoder must
give the samples that were stored, to the bit.

`--native` is a Python whose TensorFlow loads the native library of tensorflow-io: that of `make test-oldest`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.turns import Worker, in_turns
from vqmm.commands.cli import run
from vqmm.errors import UserError

SECONDS = (1, 10)  # lengths of the pieces
RATE = 16_000  # Hz
PIECES = 32
FORMS = {  # stored form by decoder
    "FLAC by libsndfile": "flac",
    "FLAC by tensorflow-io": "flac",
    "WAV": "wav",
    "WAV by decode_wav": "wav",
    "samples alone": "raw",
}
PEER = "FLAC by libsndfile"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="data that prepare left, with recordings")
    parser.add_argument("--native", type=Path, help="a Python with the native library of tensorflow-io")
    parser.add_argument("--rounds", type=int, default=7, help="turns that each decoder has")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn")
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    parser.add_argument("--json", type=Path, help="also write the table to this file")


def main(args: argparse.Namespace) -> None:
    from vqmm.atomic import write_atomic
    from vqmm.data.records import Dataset

    if args.quick:
        args.rounds, args.seconds = min(args.rounds, 3), min(args.seconds, 0.5)
    dataset = Dataset.open(args.data)
    tree: dict[str, Any] = {"machine": platform.platform(), "load": os.getloadavg()[0], "versions": {}}
    tree["rows"] = []
    for seconds in SECONDS:
        pieces = cut_pieces(dataset, seconds, PIECES)
        tree["rows"] += _rates(args, pieces, tree["versions"])
    _show(tree["rows"])
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(args.json, json.dumps(tree, indent=2))


def cut_pieces(dataset: Any, seconds: int, most: int) -> npt.NDArray[np.int16]:
    """The recordings of the test split end to end, cut into pieces of equal length.

    Args:
        dataset: a `vqmm.data.records.Dataset`.
        seconds: length of a piece.
        most: pieces.

    Returns:
        i16[pieces, samples] at `RATE`; recordings come again where there are too few.

    Raises:
        UserError: the split has no recordings.
    """
    import soxr

    from vqmm.data.stored_audio import read_stored_audio

    length = seconds * RATE
    records = dataset.split("test").recordings
    found: list[npt.NDArray[np.int16]] = []
    for row in range(len(records)):
        found.append(read_stored_audio(records.data[row]))
        if sum(map(len, found)) >= most * seconds * dataset.audio.sample_rate:
            break
    if not found:
        raise UserError(f"{dataset.folder} has no recordings in its test split; give data that has some")
    sound = soxr.resample(np.concatenate(found), dataset.audio.sample_rate, RATE)
    return np.resize(sound, (most, length))


def _rates(
    args: argparse.Namespace, pieces: npt.NDArray[np.int16], versions: dict[str, str]
) -> list[dict[str, Any]]:
    from vqmm.data.stored_audio import encode_audio

    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        np.save(Path(scratch, "samples.npy"), pieces)
        forms = {
            "flac": [encode_audio(piece, RATE, "flac") for piece in pieces],
            "wav": [encode_audio(piece, RATE, "wav") for piece in pieces],
            "raw": [piece.tobytes() for piece in pieces],
        }
        sizes = {form: sum(map(len, stored)) / len(pieces) for form, stored in forms.items()}
        for form, stored in forms.items():
            Path(scratch, form).mkdir()
            for number, data in enumerate(stored):
                Path(scratch, form, f"{number:04d}").write_bytes(data)
        sides = {}
        for decoder, form in FORMS.items():
            native = decoder == "FLAC by tensorflow-io" and args.native
            task = {
                "decoder": decoder,
                "folder": str(Path(scratch, form)),
                "samples": str(Path(scratch, "samples.npy")),
                "threads": 1,
            }
            python = args.native if native else sys.executable
            sides[decoder] = stack.enter_context(Worker(python, "benchmarks.decoders_worker", task))
        in_turns(list(sides.values()), args.rounds, args.seconds)
        found = {decoder: _figures(side) for decoder, side in sides.items()}
    for figures in found.values():
        versions |= figures.pop("versions", {})
    rows = []
    for decoder, figures in found.items():
        if "failed" not in figures and "failed" not in found[PEER]:
            ratio = figures["recordings_a_second"] / found[PEER]["recordings_a_second"]
            figures |= {"ratio_to_peer": ratio}
        size = {"seconds": pieces.shape[1] // RATE, "sample_rate": RATE}
        disk = {"stored_as": FORMS[decoder], "stored_bytes": sizes[FORMS[decoder]]}
        rows.append({"what": f"decoding {decoder}", "size": size, **disk, **figures})
    return rows


def _figures(worker: Worker) -> dict[str, Any]:
    """Recordings a second of CPU time: the median over turns, and the quartiles."""
    from benchmarks.decoders_worker import BATCH

    if worker.failed:
        return {"failed": worker.failed}
    rates = [1000.0 * BATCH / turn["cpu_milliseconds"] for turn in worker.turns]
    low, middle, high = np.quantile(rates, (0.25, 0.5, 0.75)).tolist()
    return {**worker.ready, "recordings_a_second": middle, "quartiles": [low, high]}


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    page = Table(title="recordings a second of one core, and KiB of each on disk")
    for heading in ("length", "decoder", "recordings/s", "quartiles", "ratio to libsndfile", "KiB"):
        page.add_column(heading)
    for row in rows:
        seconds, kib = f"{row['size']['seconds']} s", f"{row['stored_bytes'] / 1024:.1f}"
        name = row["what"].removeprefix("decoding ")
        if "failed" in row:
            page.add_row(seconds, name, row["failed"], "", "", kib)
            continue
        low, high = row["quartiles"]
        ratio = f"{row['ratio_to_peer']:.1f}" if "ratio_to_peer" in row else ""
        page.add_row(
            seconds, name, f"{row['recordings_a_second']:,.0f}", f"{low:,.0f}-{high:,.0f}", ratio, kib
        )
    Console(width=110).print(page)


if __name__ == "__main__":
    run(
        "decoders",
        "Time the decoders of the forms in which prepared data may hold recordings.",
        "  python -m benchmarks.decoders --data data/digits --quick",
        add_arguments,
        main,
        program="python -m benchmarks.decoders",
    )
