"""What carries over from the built-in digits to other voices, pens and framings.

    python -m benchmarks.transfer --run runs/demo --data data/digits [--json FILE]

Each row judges retrieval between one kind of stand-in and the built-in test split's
other side, both ways: by code distance (and by shared codes alone, where the run has
fine ones), by the query's latents against the codes of what is
searched (as an index is asked), and by latents on both sides; the last row is stand-ins
against stand-ins. The stand-ins are made (people's voice prompts and fonts come from Debian
packages, flite from the system); what could not be had is said.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

from vqmm.commands.cli import run

SCORES = {
    "code_distance": "code distance",
    "shared_distance": "shared codes alone",
    "asymmetric": "latents to codes",
    "continuous": "continuous",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", required=True, type=Path, help="run folder to judge")
    parser.add_argument("--data", required=True, type=Path, help="prepared digits, for their test split")
    parser.add_argument("--proxies", type=Path, default=Path("data/proxies"), help="where stand-ins are kept")
    parser.add_argument("--tuxpaint", type=Path, help="the stamps' package, for its speakers")
    parser.add_argument("--json", type=Path, help="also write the table to this file")


def main(args: argparse.Namespace) -> None:
    import keras
    import numpy as np
    import tensorflow as tf
    from rich.console import Console
    from rich.table import Table

    from vqmm.atomic import write_atomic
    from vqmm.data.prepare import prepare
    from vqmm.data.records import Dataset
    from vqmm.data.sources.proxies import write_proxies
    from vqmm.encoding import Encoded, encode_split
    from vqmm.evaluation.alignment import coded, make_scorers
    from vqmm.metrics import judge_retrieval
    from vqmm.training.run_folder import open_run

    opened = open_run(args.run)
    config, model = opened.config, opened.model
    if not (args.proxies / "source" / "manifest.csv").exists():
        write_proxies(args.proxies / "source", 0, tuxpaint=args.tuxpaint)
    if not (args.proxies / "dataset.json").exists():
        prepare(args.proxies / "source" / "manifest.csv", config, args.proxies)
    left_out = json.loads((args.proxies / "source" / "proxies.json").read_text())["left_out"]
    sides = {}
    for name, folder in (("test", args.data), ("proxy", args.proxies)):
        dataset = Dataset.open(folder)
        for modality in ("audio", "image"):
            sides[name, modality] = encode_split(model, dataset, config, "test", modality)
    start, stop = model.quantizer.ranges["shared"]
    table = np.array(model.quantizer.table("shared"))
    fine = model.fine_tables()
    scores = {name: told for name, told in SCORES.items() if name != "shared_distance" or fine is not None}

    def kinds(encoded: Encoded) -> np.ndarray:
        return np.array([str(item).rpartition("-")[0] for item in encoded.ids])

    def chosen(encoded: Encoded, kind: str | None) -> Encoded:
        if kind is None:
            return encoded
        keep = kinds(encoded) == kind
        parts = {k: v[keep] for k, v in encoded._asdict().items() if isinstance(v, np.ndarray)}
        return encoded._replace(**parts)

    def judged(what: str, audio: Encoded, image: Encoded) -> dict[str, Any]:
        row: dict[str, Any] = {"what": what, "size": f"{len(audio.ids)} x {len(image.ids)}"}
        for direction, query, gallery in (
            ("audio_to_image", audio, image),
            ("image_to_audio", image, audio),
        ):
            asked, answers = (coded(side, table, start, fine) for side in (query, gallery))
            scorers = make_scorers(asked, answers, table, config.model.layout)
            for name in scores:
                found = judge_retrieval(scorers[name], query.labels, gallery.labels, 200)
                row[f"{direction}.{name}"] = found.map.to_json()
        return row

    test_audio, test_image = sides["test", "audio"], sides["test", "image"]
    proxy_audio, proxy_image = sides["proxy", "audio"], sides["proxy", "image"]
    rows = [judged("built-in test split", test_audio, test_image)]
    for kind in sorted(set(kinds(proxy_audio))):
        rows.append(judged(f"recordings: {kind}", chosen(proxy_audio, kind), test_image))
    for kind in sorted(set(kinds(proxy_image))):
        rows.append(judged(f"pictures: {kind}", test_audio, chosen(proxy_image, kind)))
    rows.append(judged("all stand-ins", proxy_audio, proxy_image))

    page = Table(title="mAP, audio to image / image to audio")
    for heading in ("what", "recordings x pictures", *scores.values()):
        page.add_column(heading)
    for row in rows:
        cells = [
            " / ".join(f"{row[f'{d}.{name}']['value']:.3f}" for d in ("audio_to_image", "image_to_audio"))
            for name in scores
        ]
        page.add_row(row["what"], row["size"], *cells)
    Console().print(page)
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}")
    if args.json:
        versions = {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
        tree = {"machine": platform.platform(), "versions": versions, "rows": rows, "left_out": left_out}
        write_atomic(args.json, json.dumps(tree, indent=2))


if __name__ == "__main__":
    run(
        "transfer",
        "Judge a digits run on other voices, pens and framings.",
        "  python -m benchmarks.transfer --run runs/demo --data data/digits",
        add_arguments,
        main,
        program="python -m benchmarks.transfer",
    )
