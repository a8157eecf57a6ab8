"""What the codebook as an index finds and costs, beside FAISS with centroids of its own.

    make bench-retrieval             # a million items, after the demo
    python -m benchmarks.retrieval --quick [--items N] [--noise S] [--json FILE]

Two questions. On the run's own test split: mean average precision across modalities, with
codes of the same number of bytes whose centroids are the codebook, or trained by FAISS on the
training split; codes with fine ones stand beside centroids for as many bytes. On a million items
drawn from the test split's latents with noise: recall@10 against exact search on the continuous
vectors, the share of the ten hits that stem from an item with the query's label, the share whose
score the scan of everything does not beat (against scan), bytes an item, seconds to build, and the
times of single queries and of batches on one and two threads. Our times include the names and
labels of the hits; the peers' do not. Lists are probed as little as gives 0.95 against the scan
they stand for.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vqmm.commands.cli import run

if TYPE_CHECKING:
    from benchmarks.retrieval_data import Draw, Floats, Latents
    from benchmarks.retrieval_engines import Engine

K = 10
QUERIES = 300
BATCH = 100
ENOUGH = 0.95
EVERY = 2**20  # lists: more than there are
WIDTH = 130  # of the tables
SINGLE_SECONDS = 12.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="run folder (%(default)s)")
    parser.add_argument("--data", type=Path, default=Path("data/digits"), help="its data (%(default)s)")
    parser.add_argument("--items", type=int, default=1_000_000, help="items to draw (%(default)s)")
    parser.add_argument(
        "--noise", type=float, default=0.2, help="its standard deviation per coordinate (%(default)s)"
    )
    parser.add_argument("--lists", type=int, help="inverted lists (default: the root of --items)")
    parser.add_argument("--rerank", type=int, default=200, help="hits scored anew by vectors (%(default)s)")
    parser.add_argument(
        "--only",
        choices=("ours", "fine", "re-ranked", "pq", "hnsw", "float"),
        help="one kind of engine alone",
    )
    parser.add_argument("--quick", action="store_true", help="20,000 items and 100 queries")
    parser.add_argument("--json", type=Path, help="also write the table to this file")


def main(args: argparse.Namespace) -> None:
    import faiss
    from rich.console import Console
    from rich.table import Table

    from benchmarks.retrieval_data import Draw, latents_of
    from benchmarks.retrieval_precision import precision
    from vqmm.atomic import write_atomic

    def write(rows: list[dict[str, Any]]) -> None:
        if args.json:
            versions = {"faiss": faiss.__version__, "numpy": np.__version__}
            tree = {"machine": platform.platform(), "versions": versions, "rows": rows}
            write_atomic(args.json, json.dumps(tree, indent=2))

    latents = latents_of(args.run, args.data)
    rows: list[dict[str, Any]] = []
    page = Table(title="mAP across modalities, test split, 95 % interval of the gain over trained centroids")
    for heading in ("items", "direction", "query", "ours", "trained", "gain", "float"):
        page.add_column(heading)
    for row in precision(latents) if args.only is None else ():
        rows.append(row)
        low, high = row["gain_ci95"]
        figures = (row["ours"], row["peer"], row["ours"] - row["peer"], row["continuous"])
        cells = [f"{figure:.4f}" for figure in figures]
        cells[2] += f" ({low:.4f} to {high:.4f})"
        page.add_row(row["what"].partition(", ")[2], row["direction"], row["query"], *cells)
    if rows:
        Console(width=WIDTH).print(page)
        write(rows)

    items = 20_000 if args.quick else args.items
    base = np.concatenate([latents.audio, latents.image])
    draw = Draw(base, items, args.noise, seed=1)
    labels = np.concatenate([latents.audio_labels, latents.image_labels])
    asked = Draw(base, 100 if args.quick else QUERIES, args.noise, seed=2)
    queries, same = asked.whole(), (labels[asked.origins()], labels[draw.origins()])
    lists = args.lists or int(items**0.5)
    page = Table(title=f"{items} items, noise {args.noise}, {lists} lists; times in ms and queries a second")
    headings = f"engine,probes,recall@{K},label,scan,bytes,build s,p50,p99,busy p99,1 thread,2 threads"
    for heading in headings.split(","):
        page.add_column(heading)
    for row in scale(latents, draw, queries, same, lists, args.rerank, args.only):
        row["size"] |= {"noise": args.noise, "load": os.getloadavg()[0]}
        rows.append(row)
        print(json.dumps(row), flush=True)
        write(rows)
        page.add_row(
            row["what"],
            str(row["probes"] or ""),
            *(
                "" if row[key] is None else f"{row[key]:.3f}"
                for key in ("recall", "same_label", "against_scan")
            ),
            f"{row['bytes_per_item']:.1f}",
            f"{row['build_seconds']:.1f}",
            *(f"{row[key]:.2f}" for key in ("p50_ms", "p99_ms", "processor_p99_ms")),
            *(f"{row['queries_per_second'][key]:.0f}" for key in ("1", "2")),
        )
    Console(width=WIDTH).print(page)


def scale(
    latents: Latents, draw: Draw, queries: Floats, same: Any, lists: int, rerank: int, only: str | None
) -> Iterator[dict[str, Any]]:
    """Rows of the second table, one an engine."""
    from benchmarks.retrieval_data import exact_hits
    from benchmarks.retrieval_engines import flat, hnsw_pq, our_index, ours, peer, trained_ivf_pq, trained_pq

    slots = queries.shape[1]
    truth = exact_hits(queries, draw, K)
    least: dict[str, Any] = {}  # of a scan of everything: each query's K-th score

    def measured(engine: Engine, stands_for: str | None = None) -> dict[str, Any]:
        row, least[engine.name] = _measure(engine, queries, truth, same, least.get(stands_for or ""))
        gc.collect()
        return row | {"what": engine.name, "size": {"items": draw.items}}

    if only in (None, "fine") and latents.fine is not None:
        index, spent = our_index(draw, latents, slots, fine=True)
        yield measured(ours(index, spent, "codebook and fine codes, flat"))
        yield measured(
            ours(index, spent, "codebook and fine codes, lists", lists), "codebook and fine codes, flat"
        )
        del index
    for kind, vectors in (("ours", False), ("re-ranked", True)):
        if only in (None, kind):
            index, spent = our_index(draw, latents, slots, vectors)
            name, again = (f"codebook, {kind}", rerank) if vectors else ("codebook", 0)
            yield measured(ours(index, spent, f"{name}, flat", rerank=again))
            yield measured(ours(index, spent, f"{name}, lists", lists, again), f"{name}, flat")
            del index
    if only in ("ours", "fine", "re-ranked"):
        return
    # What a peer trains on is the run's training split with the noise of the items.
    train = type(draw)(latents.train, 64 * max(lists, 256), draw.noise, seed=3).whole()
    if only in (None, "pq"):
        yield measured(peer("PQ, trained", trained_pq(slots), draw, train))
        yield measured(peer("PQ of two bytes a slot, trained", trained_pq(2 * slots), draw, train))
        yield measured(peer("IVF-PQ, trained", trained_ivf_pq(slots, lists), draw, train))
    if only in (None, "float"):
        yield measured(peer("Flat, float", flat, draw, None))
    if only in (None, "hnsw"):
        yield measured(peer("HNSW over PQ, trained", hnsw_pq(slots), draw, train))


def _measure(
    engine: Engine, queries: Floats, truth: Any, same: Any, wanted: Any
) -> tuple[dict[str, Any], Any]:
    """What an engine finds and its times, and each query's K-th score.

    `wanted` are these scores of the scan that lists stand for; the fewest probes are taken
    whose hits reach them in 0.95 of all cases.
    """
    import faiss

    def found() -> tuple[Any, Any]:
        parts = [engine.search(queries[i : i + BATCH], K) for i in range(0, len(queries), BATCH)]
        rows, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        return rows, scores

    faiss.omp_set_num_threads(2)
    probes = reached = None
    if engine.probes is None:
        rows, scores = found()
    else:
        if wanted is None:  # an engine whose scores are no other's: its own, with all lists scanned
            engine.probes(EVERY)
            wanted = found()[1].min(axis=1)
        for probes in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            engine.probes(probes)
            rows, scores = found()
            reached = float((scores >= wanted[:, None] - 1e-4).mean())
            if reached >= ENOUGH:
                break
    recall = float((rows[:, :, None] == truth[:, None]).any(axis=2).mean())
    asked, held = same
    alike = float(((held[rows] == asked[:, None]) & (rows >= 0)).mean())
    faiss.omp_set_num_threads(1)
    spent, busy, began = [], [], time.perf_counter()
    for i in range(len(queries)):
        start, used = time.perf_counter(), time.process_time()
        engine.search(queries[i : i + 1], K)
        spent.append(time.perf_counter() - start)
        busy.append(time.process_time() - used)
        if i >= 100 and time.perf_counter() - began > SINGLE_SECONDS:
            break
    rates = {}
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        rates[str(threads)] = _rate(engine, queries)
    p50, p99 = np.quantile(spent, (0.5, 0.99)) * 1e3
    busy_p50, busy_p99 = np.quantile(busy, (0.5, 0.99)) * 1e3
    row = {
        "recall": recall,
        "same_label": alike,
        "against_scan": reached,
        "probes": probes,
        "bytes_per_item": engine.bytes_per_item,
        "build_seconds": engine.build_seconds,
        "p50_ms": p50,
        "p99_ms": p99,
        "processor_p50_ms": busy_p50,
        "processor_p99_ms": busy_p99,
        "singles": len(spent),
        "queries_per_second": rates,
    }
    return row, scores.min(axis=1)


def _rate(engine: Engine, queries: Floats) -> float:
    """Queries a second in batches, the best of those that fit into some seconds."""
    best, began = 0.0, time.perf_counter()
    while time.perf_counter() - began < SINGLE_SECONDS / 4:
        start = time.perf_counter()
        engine.search(queries[:BATCH], K)
        best = max(best, min(BATCH, len(queries)) / (time.perf_counter() - start))
    return best


if __name__ == "__main__":
    run(
        "retrieval",
        "Find and time items by codes, beside FAISS with centroids of its own.",
        "  python -m benchmarks.retrieval --quick",
        add_arguments,
        main,
        program="python -m benchmarks.retrieval",
    )
