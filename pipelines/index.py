"""Builds the retrieval index of prepared data, whose centroids are the joint codebook."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipelines.cli import run
from vqmm.errors import UserError

DESCRIPTION = "Indexes recordings and pictures by their shared codes; a second call adds to the index."
EXAMPLES = """\
  python -m pipelines.index --run runs/demo --data data/digits --out runs/demo/index
  python -m pipelines.index --run runs/demo --data data/digits --split test --out runs/demo/test-index
  python -m pipelines.index --run runs/demo --data data/more --out runs/demo/index

Items that are there already stay; a call that was killed leaves the index as it was and can be repeated."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="run folder that train left")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder that prepare left")
    parser.add_argument(
        "--split", nargs="+", metavar="SPLIT", help="train, validation, test (default: all there are)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="INDEX", help="index folder")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an index that is there instead of adding to it"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> None:
    """Encodes, adds, writes, and says what is in it."""
    from vqmm.data.records import Dataset

    dataset = Dataset.open(args.data)
    if args.out.exists() and not args.out.is_dir():
        raise UserError(f"--out {args.out} is a file; an index is a folder")
    from vqmm.training.run_folder import open_run

    opened = open_run(args.run, coded=True)
    # Loaded late, so that a wrong command line is told at once.
    from vqmm.retrieval import FaissIndex
    from vqmm.retrieval.index_folder import generation_of
    from vqmm.retrieval.model_index import add_split, index_for

    index = index_for(opened.model, opened.config)
    generation = generation_of(args.out)
    if args.overwrite:
        index.generation = generation
    elif generation:
        index = FaissIndex.open(args.out, index.fingerprint)
    added = {"audio": 0, "image": 0}
    present = [name for name, held in dataset.counts.items() if held["recordings"] + held["pictures"]]
    splits = args.split or present
    for split in splits:
        for modality, number in add_split(index, opened.model, dataset, opened.config, split).items():
            added[modality] += number
    if not index.count():
        raise UserError(f"{args.data} has nothing in {', '.join(splits)}; choose another --split")
    index.save(args.out)
    facts = {
        "path": str(args.out),
        "added": added,
        "items": {name: index.count(name) for name in added},
        "bytes_per_item": (index.slots * index.bits + 7) // 8,
        "fingerprint": index.fingerprint,
    }
    if args.json:
        print(json.dumps(facts))
    else:
        print(
            f"{args.out}: {index.count('audio')} recordings ({added['audio']} new), {index.count('image')} "
            f"pictures ({added['image']} new), {facts['bytes_per_item']} bytes of codes an item"
        )


if __name__ == "__main__":
    run("index", DESCRIPTION, EXAMPLES, add_arguments, main)
