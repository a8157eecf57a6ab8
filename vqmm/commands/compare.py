"""Trains several configs on the same data and sets their figures beside each other."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.commands.cli import add_overrides, local_path
from vqmm.config import Config, load_config
from vqmm.data.records import Dataset
from vqmm.errors import UserError
from vqmm.shipped_configs import find_config_folder
from vqmm.training.check_schedule import check_schedule
from vqmm.training.prior_run import prior_config
from vqmm.training.run_folder import RunFolder, check_same, has_weights, identity
from vqmm.training.stop_signals import leaving_on_sigterm

DESCRIPTION = "Trains and judges configs on the same data, over seeds; writes comparison.json and .html."
EXAMPLES = """\
  vqmm compare digits --data data/digits --out runs/seeds --seeds 3
  vqmm compare --ablations ablations --data data/digits --out runs/ablations
  vqmm compare a.yaml b.yaml --data data/mine --out runs/ab --set seed=7

Each run trains and is judged by the verbs, in a process of its own, in OUT/CONFIG/seedN. A run that is
there is resumed, or taken as it is, or judged again where an earlier version judged it; one of another config
or other data is refused."""


COLUMN = 34  # characters that a column of figures with their intervals takes
# What a finished run may have otherwise (see `CHANGEABLE`) and what then changes its figures.
FIGURES_FOLLOW = ("train.steps", "train.early_stop", "train.model", "evaluate", "prior.sampling")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument(
        "configs", nargs="*", type=Path, metavar="CONFIG", help="YAML files, or names of shipped configs"
    )
    parser.add_argument(
        "--ablations",
        type=Path,
        metavar="DIR",
        help="all configs of a folder as well; ablations is the name of a shipped one",
    )
    parser.add_argument("--data", required=True, metavar="DATA", help="folder that prepare left")
    parser.add_argument(
        "--out", type=local_path, required=True, metavar="DIR", help="folder for runs and results"
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N-1 (default: 1)")
    add_overrides(parser)
    parser.add_argument(
        "--quality",
        type=float,
        default=0.9,
        metavar="MAP",
        help="validation mAP whose first time is told (default: %(default)s)",
    )
    parser.add_argument(
        "--against",
        metavar="CONFIG",
        help="config that the others' differences are from (default: the first)",
    )
    parser.add_argument("--json", action="store_true", help="print comparison.json")


class Plan(NamedTuple):
    """The runs that a comparison needs, and those that are finished.

    Attributes:
        files: of the configs, by name.
        merged: the config of each seed, by name.
        folders: of each seed's run, by name.
        done: folders that hold what is asked for.
    """

    files: dict[str, Path]
    merged: dict[str, list[Config]]
    folders: dict[str, list[Path]]
    done: set[Path]

    def finished(self, name: str) -> list[int]:
        """Returns the seeds of a config whose runs are finished."""
        return [seed for seed, folder in enumerate(self.folders[name]) if folder in self.done]


def main(args: argparse.Namespace) -> None:
    """Trains what is missing, judges it, writes and shows the table. SIGTERM stops the run at hand, too."""
    with leaving_on_sigterm("compare"):
        _compare(args)


def _compare(args: argparse.Namespace) -> None:
    files = _configs(args)
    against = args.against or next(iter(files))
    if against not in files:
        raise UserError(f"--against {against}: no such config; it is one of {', '.join(files)}")
    plan = _plan(args, files)
    stopped: UserError | None = None
    try:
        for name, config in files.items():
            for seed, folder in enumerate(plan.folders[name]):
                if folder not in plan.done:
                    _train_and_judge(config, args.data, folder, [*args.set, f"seed={seed}"], args.json)
                    plan.done.add(folder)
    except UserError as error:
        stopped = error
    if not plan.done and stopped is not None:
        raise stopped
    told = "" if stopped is None else f"{name}/seed{seed} failed: {stopped}"
    rows = _rows(plan, against, args.quality)
    text = _write(plan, rows, against, told, args)
    if stopped is not None:
        raise UserError(
            f"{told}. What is finished stands in {args.out / 'comparison.html'}; mend it and give the same "
            "command again, or leave that config out"
        )
    if args.json:
        print(text, end="")
    else:
        _show(rows, against, args)


def _plan(args: argparse.Namespace, files: dict[str, Path]) -> Plan:
    """All configs are looked at and built before hours are spent on the first."""
    merged = {
        name: [load_config(file, [*args.set, f"seed={seed}"]) for seed in range(args.seeds)]
        for name, file in files.items()
    }
    folders = {name: [args.out / name / f"seed{seed}" for seed in range(args.seeds)] for name in files}
    dataset = Dataset.open(args.data)
    done = {
        folder
        for name in files
        for folder, config in zip(folders[name], merged[name], strict=True)
        if _finished(folder, config, dataset)
    }
    for name, file in files.items():
        if not done.issuperset(folders[name]):
            _check_model(file, merged[name][0])
    return Plan(files, merged, folders, done)


def _check_model(file: Path, config: Config) -> None:
    """Builds the model of a config once; the run has a process, and a GPU, to itself.

    Raises:
        UserError: the model cannot be built, or could not be judged.
    """
    if config.vocoder is not None:
        raise UserError(f"{file}: holds a vocoder; benchmarks.vocoder judges it; leave it out")
    try:
        check_schedule(config)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    if config.prior is not None:
        return  # its tokens are known when its tokenizer has been read
    import tensorflow as tf

    from vqmm.models import build_model

    if tf.config.list_physical_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")  # the runs need its memory
    try:
        build_model(config)
    except (UserError, ValueError) as error:
        raise UserError(f"{file}: {error}") from error


def _rows(plan: Plan, against: str, quality: float) -> list[dict[str, Any]]:
    """The configs of which any seed is there, with their figures and differences."""
    from vqmm.evaluation.comparison import Compared, differences, run_figures, spreads

    rows = []
    for name, file in plan.files.items():
        seeds = plan.finished(name)
        if not seeds:
            continue
        common = sorted({*seeds} & {*plan.finished(against)})
        apart = Compared({}, {})
        if name != against and common:
            ours, theirs = ([plan.folders[side][seed] for seed in common] for side in (name, against))
            apart = differences(ours, theirs)
        found = [run_figures(plan.folders[name][seed], quality) for seed in seeds]
        rows.append(
            {
                "what": name,
                "config": str(file),
                "finished": len(seeds),
                "figures": spreads(found),
                "differences": apart.figures,
                "left_out": apart.left_out,
            }
        )
    return rows


def _write(plan: Plan, rows: list[dict[str, Any]], against: str, note: str, args: argparse.Namespace) -> str:
    """Writes comparison.html and .json; returns what stands in the latter."""
    from vqmm.atomic import write_atomic
    from vqmm.evaluation.compared_figures import FIGURES
    from vqmm.report.comparison import render_comparison

    shown = [{**row, **_shown(plan, row["what"])} for row in rows]
    page = render_comparison(shown, args.seeds, args.quality, against, note)
    tree = {
        "data": args.data,
        "seeds": args.seeds,
        "quality": args.quality,
        "against": against,
        "failed": note or None,
        "units": {name: measured.unit for name, measured in FIGURES.items()},
        "rows": [
            {
                **row,
                "figures": {name: spread._asdict() for name, spread in row["figures"].items()},
                "differences": {name: figure.to_json() for name, figure in row["differences"].items()},
                "judges": looks["judges"],
                "trained_with": looks["trained_with"],
            }
            for row, looks in zip(rows, shown, strict=True)
        ],
    }
    text = json.dumps(_finite(tree), indent=1, allow_nan=False) + "\n"
    write_atomic(args.out / "comparison.json", text)
    write_atomic(args.out / "comparison.html", page)
    return text


def _shown(plan: Plan, name: str) -> dict[str, Any]:
    """What the page shows of a config besides its figures."""
    from vqmm.report.gallery import load_gallery
    from vqmm.report.judges import trained_with

    folders = [plan.folders[name][seed] for seed in plan.finished(name)]
    trees = [json.loads((folder / "evaluation.json").read_text(encoding="utf-8")) for folder in folders]
    config = plan.merged[name][0]
    return {
        "gallery": load_gallery(folders[0] / "report" / "gallery.npz"),
        "sample_rate": config.data.audio.sample_rate,
        "data": trees[0]["data"]["name"],
        "judges": [tree.get("generation", {}).get("extractors", {}) for tree in trees],
        "trained_with": trained_with(config),
    }


def _configs(args: argparse.Namespace) -> dict[str, Path]:
    # Configs after --set are taken for its values; none of those lacks an equals sign.
    args.configs += [Path(word) for word in args.set if "=" not in word]
    args.set = [word for word in args.set if "=" in word]
    folder = find_config_folder(args.ablations) if args.ablations else None
    files = [*args.configs, *(sorted(folder.glob("*.yaml")) if folder else [])]
    if not files:
        where = f" in {args.ablations}" if args.ablations else ""
        raise UserError(
            f"no configs{where} to compare; name YAML files or shipped configs, or a folder by --ablations"
        )
    if args.seeds < 1:
        raise UserError(f"--seeds {args.seeds}: at least 1")
    names = [file.stem for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"two configs are named {', '.join(twice)}; runs are kept by name: rename one")
    return dict(zip(names, files, strict=True))


def _finished(folder: Path, config: Config, dataset: Dataset) -> bool:
    """Whether a folder holds the figures that are asked for.

    Raises:
        UserError: it holds a run of another config or other data.
    """
    if config.prior is not None:
        config = prior_config(config)
    dataset.check(config)
    held, judged = RunFolder(folder), folder / "evaluation.json"
    if not judged.exists() and not has_weights(held):
        return False
    found = check_same(held, config, identity(dataset), "Give another --out or remove that folder")
    if any(d.key == key or d.key.startswith(f"{key}.") for d in found for key in FIGURES_FOLLOW):
        return False  # the verbs go on from what is there
    if not judged.exists():
        return False
    from vqmm.evaluation.compared_figures import FORMAT_VERSION

    tree = json.loads(judged.read_text(encoding="utf-8"))  # `evaluate` may have had others since
    if tree.get("format_version") != FORMAT_VERSION or "named" in tree.get("generation", {}):
        return False
    data = tree["data"]
    return data["checksum"] == dataset.checksum and data["split"] == "test"


def _train_and_judge(config: Path, data: str, folder: Path, sets: list[str], quiet: bool) -> None:
    words = ["--set", *sets]
    model = RunFolder(folder).model
    before = model.stat() if model.exists() else None
    peak = _verb(quiet, "train", "--config", config, "--data", data, "--run", folder, *words)
    after = model.stat() if model.exists() else None
    if after is None or (before is not None and os.path.samestat(before, after)):
        raise UserError("vqmm train was told to stop before its end, and has saved")
    if before is None:  # else the verb had nothing to do, and its memory tells nothing
        from vqmm.atomic import write_atomic

        write_atomic(folder / "peak.json", json.dumps({"mebibytes": peak}) + "\n")
    _verb(quiet, "evaluate", "--run", folder, "--data", data)


def _verb(quiet: bool, verb: str, *words: Any) -> float:
    """Runs a verb in a process of its own; returns its peak memory in MiB."""
    actions = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)] if quiet else []
    command = [sys.executable, "-m", "vqmm", verb, *map(str, words)]
    child = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
    try:
        _, status, used = os.wait4(child, 0)
    except BaseException:  # SIGTERM or Ctrl-C came to this process
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it has ended just now
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
        raise
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise UserError(f"vqmm {verb} stopped with status {code}; its own message is above")
    return used.ru_maxrss / 1024


def _finite(tree: Any) -> Any:
    """JSON has no infinity: such a figure is null."""
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not abs(tree) < float("inf") else tree


def _show(rows: list[dict[str, Any]], against: str, args: argparse.Namespace) -> None:
    from rich.console import Console

    console = Console()
    ranges = "value (95 %)" if args.seeds == 1 else f"mean of {args.seeds} seeds (least to most)"
    for table in _tables(rows, "figures", ranges, _spread, console.width):
        console.print(table)
    others = [row for row in rows if row["differences"]]
    title = f"more than {against}, item by item (95 %)"
    for table in _tables(others, "differences", title, _difference, console.width):
        console.print(table)
    for row in rows:
        for reason in dict.fromkeys(row["left_out"].values()):
            names = "; ".join(name for name, why in row["left_out"].items() if why == reason)
            console.print(f"not compared, {row['what']}: {names}: {reason}", highlight=False, markup=False)
    console.print(
        f"{args.out / 'comparison.json'}\n{args.out / 'comparison.html'}", highlight=False, soft_wrap=True
    )


def _tables(
    rows: list[dict[str, Any]], part: str, title: str, tell: Callable[[Any], str], width: int
) -> Iterator[Any]:
    """Tables with a column for each config, as many beside each other as can be read."""
    from rich.table import Table

    from vqmm.evaluation.compared_figures import FIGURES

    names = [name for name in FIGURES if any(name in row[part] for row in rows)]
    each = max(1, width // COLUMN - 1)  # one column for the names
    for start in range(0, len(rows), each):
        shown = rows[start : start + each]
        table = Table("", *(row["what"] for row in shown), title=title)
        for name in names:
            told = (tell(row[part].get(name)) for row in shown)
            table.add_row(f"{name} ({FIGURES[name].unit})", *told)
        yield table


def _spread(spread: Any) -> str:
    if spread is None:
        return ""
    if math.isinf(spread.mean):
        return "not reached"
    if len(spread.values) > 1:
        return f"{spread.mean:.4g} ({spread.low:.4g} to {spread.high:.4g})"
    interval = spread.ci95[0] if spread.ci95 else None
    return f"{spread.mean:.4g}" + (f" ({interval[0]:.4g} to {interval[1]:.4g})" if interval else "")


def _difference(figure: Any) -> str:
    if figure is None:
        return ""
    if figure.ci95 is None:
        return f"{figure.value:+.4f} (no interval, n = {figure.n})"
    low, high = figure.ci95
    return f"{figure.value:+.4f} ({low:+.4f} to {high:+.4f})"
