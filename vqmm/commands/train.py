"""Trains a model on prepared data, in a run folder."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqmm.commands.cli import add_config, add_overrides, local_path
from vqmm.errors import UserError
from vqmm.training.stop_signals import Interrupted, leaving_on_sigterm

if TYPE_CHECKING:
    from vqmm.config import Config
    from vqmm.training.run_folder import Run

DESCRIPTION = "Trains a model on prepared data, in a run folder that the same command continues."
EXAMPLES = """\
  vqmm train --config digits --data data/digits --run runs/demo
  vqmm train --config digits --data data/digits --run runs/short \\
      --set train.steps=400 schedule.quantize_from=200
  vqmm train --config digits --data data/digits --run runs/two \\
      --set train.strategy=mirrored
  vqmm train --config digits-prior --data data/digits --run runs/digits-prior \\
      --tokenizer runs/demo
  vqmm train --config digits-prior --tokens out/tokens --run runs/digits-prior \\
      --tokenizer runs/demo
  vqmm train --config digits-vocoder --data data/digits --run runs/vocoder

The same command again continues a run that was stopped or killed, to the same result."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    add_config(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", metavar="DATA", help="folder that prepare left")
    what.add_argument(
        "--tokens",
        type=local_path,
        metavar="DIR",
        help="of a prior: folder of the token files that tokenize --data left, in place of --data",
    )
    parser.add_argument("--run", required=True, type=local_path, help="run folder, made or continued")
    add_overrides(parser)
    parser.add_argument(
        "--tokenizer",
        type=Path,
        metavar="RUN",
        help="of a prior: the run whose codes it learns; of a vocoder: whose rebuilt log-mel",
    )
    parser.add_argument("--json", action="store_true", help="print the final figures as JSON")


def main(args: argparse.Namespace) -> int:
    """Trains; returns 0, also when SIGTERM took the machine away and all is saved; 130 after Ctrl-C."""
    with leaving_on_sigterm("train"):  # before the first step and after the last
        return _train(args)


def _train(args: argparse.Namespace) -> int:
    # Loaded late here and below, so that help and a wrong command line are answered at once.
    from vqmm.config import load_config
    from vqmm.training.cluster import task_of
    from vqmm.training.prior_run import prior_config
    from vqmm.training.run_folder import RunFolder, check_run, identity
    from vqmm.training.vocoder_run import vocoder_config

    config = load_config(args.config, args.set)
    if config.prior is not None:
        config = prior_config(config, args.tokenizer)
    elif config.vocoder is not None:
        config = vocoder_config(config, args.tokenizer)
    elif args.tokenizer is not None:
        raise UserError(
            f"--tokenizer goes with the config of a prior or a vocoder; {args.config} has no such section"
        )
    dataset = _opened(args, config)
    check_run(args.run, config, identity(dataset))
    if config.prior is not None:
        from vqmm.training.prior_loop import train_prior

        train: Callable[..., Run] = train_prior
    elif config.vocoder is not None:
        from vqmm.training.vocoder_loop import train_vocoder

        train = train_vocoder
    else:
        from vqmm.training import loop

        train = loop.train
    from vqmm.training.metrics_log import read_metrics
    from vqmm.training.progress import summary

    try:
        trained = train(config, dataset, args.run)
    except Interrupted as stop:
        print(f"train: {stop}; the same command continues", file=sys.stderr)
        return 0 if stop.number == signal.SIGTERM else 128 + stop.number
    task = task_of(config.train)
    if not task.chief:
        print(f"worker {task.index} of {task.count}: done at step {trained.step}; the chief has the run")
        return 0
    lines = [line for line in read_metrics(RunFolder(args.run).metrics) if line["step"] == trained.step]
    validations = [line for line in lines if line["split"] == "validation"]
    figures = validations[-1] if validations else {}
    if args.json:
        print(json.dumps({"run": str(args.run), "step": trained.step, "figures": figures}))
    else:
        print(f"{args.run}: model of step {trained.step}  {summary(figures)}")
    return 0


def _opened(args: argparse.Namespace, config: Config) -> Any:
    """The prepared data, or a prior's token files."""
    if args.tokens is None:
        from vqmm.data.records import Dataset

        dataset = Dataset.open(args.data)
        dataset.check(config)
        return dataset
    if config.prior is None:
        raise UserError(f"--tokens goes with the config of a prior; {args.config} wants --data")
    from vqmm.training.token_folder import TokenFolder

    return TokenFolder.open(args.tokens)
