"""Finds the pictures of a recording, or the recordings of a picture, in an index."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqmm.commands.cli import local_path
from vqmm.errors import UserError

if TYPE_CHECKING:
    from vqmm.data.shards import Modality

DESCRIPTION = "Ranks the items of an index by how well their shared codes fit a recording or a picture."
EXAMPLES = """\
  vqmm query --run runs/demo --index runs/demo/index --audio seven.wav
  vqmm query --run runs/demo --index runs/demo/index --image scan.png --k 5 --json
  vqmm query --run runs/demo --index runs/demo/index --image scan.png --modality image
  vqmm query --run runs/demo --index runs/demo/index --audio seven.wav \\
      --where split=test label=1 label=7
  vqmm query --run runs/demo --index runs/demo/index --audio seven.wav \\
      --data data/digits --save out/seven

A score is the sum over slots of the cosine between query and item: the number of slots at best, or about that
where items have fine codes. Items with equal scores share a rank."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="run folder that train left")
    parser.add_argument("--index", type=Path, required=True, metavar="INDEX", help="folder that index left")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--audio", type=Path, metavar="FILE", help="a recording to ask with")
    what.add_argument("--image", type=Path, metavar="FILE", help="a picture to ask with")
    parser.add_argument("--k", type=int, metavar="K", help="hits to show (default: 10, or all if fewer)")
    parser.add_argument(
        "--modality", choices=("audio", "image", "any"), help="what to find (default: the other modality)"
    )
    parser.add_argument(
        "--query",
        choices=("continuous", "codes", "expanded"),
        default="continuous",
        help="ask with the latents, with their codes as an item has them, or with these codes and those "
        "near them (default: %(default)s)",
    )
    parser.add_argument(
        "--where",
        nargs="+",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="find only items whose label, caption, split or other column of the manifest is this; "
        "of several values for one key any will do",
    )
    parser.add_argument(
        "--rerank",
        type=int,
        default=0,
        metavar="N",
        help="score the first N hits anew by continuous vectors (an index made with --vectors)",
    )
    parser.add_argument("--probes", type=int, metavar="N", help="lists to scan, of an index that has some")
    parser.add_argument("--data", metavar="DATA", help="the data that was indexed, for --save")
    parser.add_argument("--save", type=local_path, metavar="DIR", help="write the hits there as files")
    parser.add_argument("--json", action="store_true", help="print the hits as JSON")


def main(args: argparse.Namespace) -> None:
    """Encodes the query, searches, and shows the hits."""
    if (args.save is None) != (args.data is None):
        raise UserError("--save DIR and --data DATA go together: the index holds codes, the data the files")
    if args.k is not None and args.k < 1:
        raise UserError(f"--k {args.k}: 1 is the least")
    if args.rerank < 0 or (args.probes is not None and args.probes < 1):
        raise UserError(f"--rerank {args.rerank}, --probes {args.probes}: 0 and 1 are the least")
    path = args.audio or args.image
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    from vqmm.data.shards import OTHER
    from vqmm.retrieval.question import Question, answer, check_question, parse_where

    asked: Modality = "audio" if args.audio else "image"
    where = parse_where([text for texts in args.where for text in texts])
    question = Question(args.modality or OTHER[asked], args.k, where, args.rerank, args.probes)
    from vqmm.training.run_folder import open_run

    opened = open_run(args.run, coded=True)
    # Loaded late, so that a wrong command line is told at once.
    from vqmm.data.file_records import read_files
    from vqmm.encoding import codebook_fingerprint, encode_records
    from vqmm.retrieval import FaissIndex
    from vqmm.retrieval.hit_rows import hit_rows
    from vqmm.retrieval.model_index import query_values

    index = FaissIndex.open(args.index, codebook_fingerprint(opened.model))
    checked = check_question(index, question)
    read = read_files([path], asked, opened.config.data)
    encoded = encode_records(opened.model, read.records, opened.config, asked)
    hits = answer(index, query_values(opened.model, encoded, args.query), checked)
    items, scores = hits.items[0], hits.scores[0].tolist()
    saved: list[Path] | None = None
    if args.save is not None:
        from vqmm.data.records import Dataset
        from vqmm.retrieval.hit_files import save_hits
        from vqmm.retrieval.ranks import shared_ranks

        saved = save_hits(Dataset.open(args.data), items, shared_ranks(scores), args.save)
    usage = index.code_usage()
    query = {
        "path": str(path),
        "modality": asked,
        "searched": question.wanted,
        "query": args.query,
        "where": where,
        "reranked": checked.reranked,
        "best_possible": index.slots,
        "codes": encoded.shared[0].tolist(),
        "codes_in_use": usage.in_use,
        **read.reports[0].facts(),
    }
    if usage.warning:
        print(f"query: warning: {usage.warning}", file=sys.stderr)
    rows = hit_rows(items, scores)
    for row, place in zip(rows, saved or [], strict=False):
        row["saved"] = str(place)
    _show(query, rows, args.json, read.reports[0].lines())


def _show(query: dict[str, Any], rows: list[dict[str, Any]], as_json: bool, notes: list[str]) -> None:
    if as_json:
        print(json.dumps({"query": query, "hits": rows}))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from vqmm.retrieval.question import KINDS

    title = f"{query['path']}: {KINDS[query['searched']]} (best score about {query['best_possible']})"
    columns = ["id", "label", *(["caption"] if any("caption" in row for row in rows) else [])]
    table = Table("rank", *columns, "score")
    for row in rows:
        cells = [row["rank"], *(row.get(name, "") for name in columns), f"{row['score']:.3f}"]
        table.add_row(*(Text(str(cell)) for cell in cells))  # Text: an id with brackets is no markup
    print(*notes, sep="\n", end="\n" if notes else "")
    print(title)  # not the table's own, which would be broken at the width of the table
    Console().print(table)
