"""Sound from log-mel: Griffin-Lim and a vocoder, judged on the same clips and timed in turns.

    python -m benchmarks.vocoder --vocoder runs/vocoder --run runs/demo --data data/digits [--json FILE]

(a) from the log-mel of the recordings themselves, (b) from what the tokenizer rebuilds. The Fréchet distance
is in features of a classifier taught on training recordings, to all recordings of the split; `real` is that
of the same clips as recorded. SI-SDR asks for the phase, which no log-mel holds: it is low for both.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqmm.commands.cli import run
from vqmm.errors import UserError

if TYPE_CHECKING:
    import numpy as np

FIGURES = ("mel_distance", "mel_gain", "frechet", "frechet_gain", "recognised", "si_sdr", "frame_lines")
SHOWN = 4  # clips of the plot
CEILING = 70.0  # dB below the loudest cell, drawn black


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vocoder", type=Path, required=True, metavar="RUN", help="of a vocoder")
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="of a tokenizer")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder that prepare left")
    parser.add_argument("--split", default="test")
    parser.add_argument("--items", type=int, default=300, help="clips, a seeded sample of larger splits")
    parser.add_argument("--rounds", type=int, default=4, help="turns of a voice that is timed; 0: none")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="also draw spectrograms of a few clips")


def main(args: argparse.Namespace) -> None:
    if args.items < 5:
        raise UserError(f"--items {args.items}: 5 is the least")
    from vqmm.data.records import Dataset
    from vqmm.training.run_folder import open_run
    from vqmm.training.vocoder_run import open_voice

    dataset = Dataset.open(args.data)
    tokenizer = open_run(args.run, coded=True)
    voices = {"vocoder": open_voice(args.vocoder, tokenizer.config)}
    import numpy as np

    from vqmm.atomic import write_atomic
    from vqmm.evaluation.extractors import fit_extractors
    from vqmm.evaluation.intervals import INTERVALS
    from vqmm.evaluation.material import gather_material, sampled_rows
    from vqmm.evaluation.reconstruction import rebuild
    from vqmm.evaluation.voices import voices_section
    from vqmm.voice import griffin_lim

    model, config = tokenizer.model, tokenizer.config
    material = gather_material(model, dataset, config, args.split)
    taught_on = {name: side for name, side in material.training.items() if name == "audio"}
    extractors = fit_extractors(model, material._replace(training=taught_on), config.seed)
    if "audio" not in extractors:
        raise UserError(f"{args.data} has too few recordings to teach a judge")
    spoken = material.sides["audio"]
    rows = sampled_rows(len(spoken.inputs), args.items, config.seed)
    sources = {
        "recorded": np.asarray(model.log_mel(spoken.inputs[rows])),
        "rebuilt": rebuild(model, spoken, rows),
    }
    voices = {"Griffin-Lim": griffin_lim(config), **voices}
    window = spoken.inputs.shape[1]
    sounds = {
        kind: {name: fitted(voice(log_mel), window) for name, voice in voices.items() if voice}
        for kind, log_mel in sources.items()
    }
    tree: dict[str, Any] = {
        "machine": platform.platform(),
        "split": args.split,
        "intervals": INTERVALS,
        "clips": len(rows),
        "judge_accuracy": extractors["audio"].taught.accuracy,
    }
    for kind, made in sounds.items():
        tree[kind] = voices_section(
            spoken.inputs,
            spoken.encoded.labels,
            made,
            extractors["audio"],
            model.features["audio"],
            rows,
        )
    if args.rounds:
        tree["time"] = timed(args, sources["recorded"][:32])
    show(tree)
    if args.json:
        write_atomic(args.json, json.dumps(tree, indent=2) + "\n")
    if args.plot:
        draw(args.plot, spoken.inputs[rows], sounds, config.data.audio.sample_rate)


def fitted(sounds: np.ndarray, samples: int) -> np.ndarray:
    """Clips as long as the model's window: log-mel frames do not reach its very end."""
    import numpy as np

    return np.pad(sounds[:, :samples], ((0, 0), (0, max(0, samples - sounds.shape[1]))))


def timed(args: argparse.Namespace, log_mel: np.ndarray) -> dict[str, Any]:
    """Processor time of both on one core, in the same run: seconds for a second of sound, and the ratio."""
    import numpy as np

    from benchmarks.turns import Worker, in_turns

    with tempfile.TemporaryDirectory() as scratch:
        clips = Path(scratch) / "clips.npy"
        np.save(clips, log_mel)
        task = {"threads": 1, "config": str(args.run / "config.yaml"), "log_mel": str(clips)}
        with (
            Worker(sys.executable, "benchmarks.vocoder_worker", task) as plain,
            Worker(
                sys.executable, "benchmarks.vocoder_worker", {**task, "vocoder": str(args.vocoder)}
            ) as ours,
        ):
            in_turns([plain, ours], args.rounds, 2.0)
            for worker in (plain, ours):
                if worker.failed:
                    raise UserError(f"a voice could not be timed: {worker.failed}")
            least = {
                name: min(turn["cpu_milliseconds"] for turn in worker.turns) / 1e3 / worker.ready["seconds"]
                for name, worker in (("Griffin-Lim", plain), ("vocoder", ours))
            }
    return {"seconds_per_second": least, "ratio": least["Griffin-Lim"] / least["vocoder"]}


def show(tree: Mapping[str, Any]) -> None:
    """The figures as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{tree['clips']} clips of {tree['split']}; judge right in {tree['judge_accuracy']:.3f}"
    )
    for heading in ("log-mel", "voice", *(name.replace("_", " ") for name in FIGURES)):
        table.add_column(heading)
    for kind in ("recorded", "rebuilt"):
        for name, found in tree[kind].items():
            table.add_row(kind, name, *(_told(found.get(figure)) for figure in FIGURES))
    console = Console(width=210)
    console.print(table)
    if "time" in tree:
        found = tree["time"]
        each = ", ".join(
            f"{name} {1e3 * value:.1f} ms" for name, value in found["seconds_per_second"].items()
        )
        console.print(f"one core, a second of sound: {each}; {found['ratio']:.1f} times as fast")


def _told(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ""
    from vqmm.report.figures import interval

    return f"{figure['value']:.3f} ({interval(figure)})"


def draw(path: Path, recordings: np.ndarray, sounds: Mapping[str, Mapping[str, Any]], rate: int) -> None:
    """Narrow-band spectrograms and waveforms, a column for each of a few clips."""
    import librosa
    import numpy as np

    from vqmm.atomic import replacing
    from vqmm.report.theme import WIDTH, plot

    lines = {"recorded": recordings}
    for kind, made in sounds.items():
        lines |= {f"{name}, {kind}": clips for name, clips in made.items()}
    places = np.linspace(0, len(recordings) - 1, SHOWN).astype(int)
    with plot(2 * WIDTH, 1.6 * 2 * len(lines)) as page:
        grid = page.figure.subplots(2 * len(lines), SHOWN, sharex="col", squeeze=False)
        for number, (title, clips) in enumerate(lines.items()):
            for column, place in enumerate(places):
                upper, lower = grid[2 * number][column], grid[2 * number + 1][column]
                size = np.abs(librosa.stft(clips[place], n_fft=512, hop_length=32)) + 1e-9
                levels = np.maximum(20 * np.log10(size / size.max()), -CEILING)
                seconds = len(clips[place]) / rate
                upper.imshow(
                    levels, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, rate / 2000)
                )
                lower.plot(np.arange(len(clips[place])) / rate, clips[place], linewidth=0.4)
                lower.set_ylim(-1, 1)
                if not column:
                    upper.set_ylabel(f"{title}\nkHz")
        with replacing(path) as part:
            page.figure.savefig(part, format="png", dpi=80)


if __name__ == "__main__":
    run(
        "vocoder",
        "Judge and time sound from log-mel by Griffin-Lim and by a vocoder.",
        "  python -m benchmarks.vocoder --vocoder runs/vocoder --run runs/demo --data data/digits",
        add_arguments,
        main,
        program="python -m benchmarks.vocoder",
    )
