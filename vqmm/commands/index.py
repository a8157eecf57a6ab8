"""Builds and tends the retrieval index of prepared data, whose centroids are the joint codebook."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vqmm.commands.cli import local_path
from vqmm.errors import UserError

if TYPE_CHECKING:
    from vqmm.data.records import Records
    from vqmm.retrieval import FaissIndex

DESCRIPTION = "Indexes recordings and pictures by their shared codes; a second call adds to the index."
EXAMPLES = """\
  vqmm index --run runs/demo --data data/digits --out runs/demo/index
  vqmm index --run runs/demo --data data/digits --split test --out runs/demo/test-index
  vqmm index --run runs/demo --data data/more --out runs/demo/index
  vqmm index --run runs/big --data data/big --out runs/big/index --lists 1024 --vectors
  vqmm index --out runs/demo/index --remove scan-0001 scan-0002
  vqmm index --out runs/demo/index --compact

Items that are there already stay; a call that was killed leaves the index as it was and can be repeated."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("--run", type=Path, metavar="RUN", help="run folder that train left")
    parser.add_argument("--data", metavar="DATA", help="folder that prepare left, to be added")
    parser.add_argument(
        "--split",
        nargs="+",
        action="extend",
        metavar="SPLIT",
        help="train, validation, test (default: all there are)",
    )
    parser.add_argument("--out", type=local_path, required=True, metavar="INDEX", help="index folder")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an index that is there instead of adding to it"
    )
    parser.add_argument(
        "--lists",
        type=int,
        metavar="N",
        help="sort the items into N lists, of which a query scans a few; worth it from some 100,000 items "
        "on; 0 scans everything (default: as the index is; a new one scans everything)",
    )
    parser.add_argument(
        "--vectors",
        action="store_true",
        help="keep continuous vectors (float16) beside the codes of a new index, for query --rerank",
    )
    parser.add_argument(
        "--remove",
        nargs="+",
        action="extend",
        metavar="ID",
        help="remove items, of --split or of all splits",
    )
    parser.add_argument("--compact", action="store_true", help="write the index anew without removed items")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> None:
    """Adds or removes, writes, and says what is in it."""
    if args.lists is not None and args.lists < 0:
        raise UserError(f"--lists {args.lists}; 0 is the least")
    adding = args.run is not None or args.data is not None
    if args.out.exists() and not args.out.is_dir():
        raise UserError(f"--out {args.out} is a file; an index is a folder")
    if adding and (args.remove or args.compact):
        raise UserError("--remove and --compact tend an index that is there: leave out --run and --data")
    if adding and not (args.run and args.data):
        raise UserError("--run RUN and --data DATA go together: the model encodes the data")
    if not adding and not (args.remove or args.compact or args.lists is not None):
        raise UserError("nothing to do: give --run and --data, --remove, --compact or --lists")
    if not adding and (args.overwrite or args.vectors):
        raise UserError("--overwrite and --vectors make an index: give --run and --data")
    added, removed, moved = {"audio": 0, "image": 0}, 0, 0
    longer, note = 0, None
    if adding:
        index, added, moved, longer, note = _add(args)
    else:
        # Loaded late, so that a wrong command line is told at once.
        from vqmm.retrieval import FaissIndex

        index = FaissIndex.open(args.out)
        if args.remove:
            removed = sum(index.remove(args.remove, split=split) for split in args.split or [None])
        if args.compact:
            index.compact()
    if args.lists is not None and args.lists != index.lists:
        index.set_lists(args.lists)
    index.save(args.out)
    usage = index.code_usage()
    facts = {
        "path": str(args.out),
        "added": added,
        "removed": removed,
        "moved": moved,
        "items": {name: index.count(name) for name in added},
        "bytes_per_item": index.bytes_per_item,
        "lists": index.lists,
        "vectors": index.holds_vectors,
        "fingerprint": index.fingerprint,
        "codes_in_use": usage.in_use,
        "codes": usage.codes,
        "longer_than_window": longer,
    }
    if usage.warning:
        print(f"index: warning: {usage.warning}", file=sys.stderr)
    if args.json:
        print(json.dumps(facts))
    else:
        if note:
            print(f"note: {note}")
        print(
            f"{args.out}: {index.count('audio')} recordings ({added['audio']} new), {index.count('image')} "
            f"pictures ({added['image']} new), {facts['bytes_per_item']} bytes an item, {usage}"
            + (f", {moved} moved from another split" if moved else "")
            + (f", {removed} removed" if removed else "")
            + (f", {index.lists} lists" if index.lists else "")
        )


class Grown(NamedTuple):
    """An index to which data was added.

    Attributes:
        grown: the index, not yet saved.
        added: new items by modality.
        moved: of these, items that stood in another split.
        longer: recordings that are longer than the model's window.
        note: a sentence about these; None where there is none.
    """

    grown: FaissIndex
    added: dict[str, int]
    moved: int
    longer: int
    note: str | None


def _add(args: argparse.Namespace) -> Grown:
    from vqmm.data.records import Dataset

    dataset = Dataset.open(args.data)
    from vqmm.training.run_folder import open_run

    opened = open_run(args.run, coded=True)
    from vqmm.data.used_part import count_longer, longer_than_window
    from vqmm.retrieval import FaissIndex
    from vqmm.retrieval.index_folder import generation_of
    from vqmm.retrieval.model_index import add_split, index_for

    index = index_for(opened.model, opened.config, args.vectors)
    generation = generation_of(args.out)
    if args.overwrite:
        index.generation = generation
    elif generation:
        index = FaissIndex.open(args.out, index.fingerprint)
        if args.vectors and not index.holds_vectors:
            raise UserError(f"{args.out} holds no vectors; make it anew with --overwrite --vectors")
    added, held = {"audio": 0, "image": 0}, index.count()
    lengths: list[int] = []

    def seen(modality: str, records: Records) -> None:
        if modality == "audio":
            lengths.extend(records.lengths.tolist())

    present = [name for name, held in dataset.counts.items() if held["recordings"] + held["pictures"]]
    splits = args.split or present
    for split in splits:
        for modality, number in add_split(index, opened.model, dataset, opened.config, split, seen).items():
            added[modality] += number
    if not index.count():
        raise UserError(f"{args.data} has nothing in {', '.join(splits)}; choose another --split")
    audio = opened.config.data.audio
    moved = held + sum(added.values()) - index.count()
    return Grown(index, added, moved, count_longer(lengths, audio), longer_than_window(lengths, audio))
