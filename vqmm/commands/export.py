"""Exports a run's model for TensorFlow Serving and for devices."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from vqmm.commands.cli import local_path
from vqmm.data.pixels import REQUEST_PIXELS
from vqmm.errors import UserError, nearest
from vqmm.export.quantize import PRECISIONS

DESCRIPTION = "Exports a model as SavedModel, LiteRT or ONNX files, and tells whether they give its codes."
EXAMPLES = """\
  vqmm export --run runs/demo --data data/digits --out runs/demo/export --verify
  vqmm export --run runs/demo --out runs/demo/export --formats saved_model
  vqmm export --run runs/demo --out phone --formats litert_fp16,litert_dynamic
  vqmm export --run runs/demo --data data/digits --out onnx --formats onnx --verify

OUT/saved_model gets a new version (1, 2, ...) that TensorFlow Serving can pick up; OUT/litert a .tflite file
for each precision, OUT/onnx an .onnx file for each signature, both with vqmm.json, which tells what goes in
and comes out. litert_int8 finds the ranges of its layers on the training split; --verify compares codes on
the test split and writes OUT/parity.json."""

FORMATS = ("saved_model", "litert", *(f"litert_{precision}" for precision in PRECISIONS), "onnx")
CALIBRATION_ITEMS = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help="run folder that train left")
    parser.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder for the exports")
    parser.add_argument(
        "--formats",
        default="saved_model,litert",
        metavar="A,B",
        help=f"of {', '.join(FORMATS)}; litert is all four (default: %(default)s)",
    )
    parser.add_argument("--data", metavar="DATA", help="folder that prepare left")
    parser.add_argument(
        "--request-pixels",
        type=int,
        default=REQUEST_PIXELS,
        metavar="N",
        help="pixels that the pictures of one request may have together (default: %(default)s)",
    )
    parser.add_argument("--verify", action="store_true", help="compare codes with the run's model")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> None:
    """Writes the formats, compares them where asked, and says what is where."""
    formats = _formats(args.formats)
    precisions = [name.removeprefix("litert_") for name in formats if name.startswith("litert_")]
    if args.data is None and (args.verify or "int8" in precisions):
        why = "--verify compares codes on prepared data" if args.verify else "litert_int8 needs prepared data"
        raise UserError(
            f"{why}: add --data DATA, or choose --formats saved_model,litert_fp32,litert_fp16,litert_dynamic"
            + (" without --verify" if args.verify else "")
        )
    if args.request_pixels < 4:
        raise UserError(
            f"--request-pixels {args.request_pixels}; 4 is the least, {REQUEST_PIXELS} the default"
        )
    if args.out.exists() and not args.out.is_dir():
        raise UserError(f"--out {args.out} is a file; an export is a folder")
    from vqmm.data.records import Dataset

    dataset = Dataset.open(args.data) if args.data is not None else None
    from vqmm.training.run_folder import open_run

    opened = open_run(args.run, coded=True)
    # Loaded late, so that a wrong command line is told at once.
    from vqmm.export.litert import write_litert
    from vqmm.export.samples import sample_items
    from vqmm.export.saved_model import write_saved_model

    model, config = opened.model, opened.config
    written: dict[str, Path] = {}
    if "saved_model" in formats:
        _tell("SavedModel")
        written["saved_model"] = write_saved_model(
            model, config, args.out / "saved_model", args.request_pixels
        )
    if precisions:
        samples = None
        if dataset is not None and "int8" in precisions:
            samples = sample_items(dataset, config, "train", CALIBRATION_ITEMS)
        paths = write_litert(model, config, args.out / "litert", precisions, samples, _tell)
        written.update({f"litert_{precision}": path for precision, path in paths.items()})
    if "onnx" in formats:
        from vqmm.export.onnx import write_onnx

        _tell("ONNX")
        written["onnx"] = write_onnx(model, config, args.out / "onnx")
    found = _parity(model, config, dataset, written, args.out) if args.verify else {}
    if args.json:
        facts = {name: {"path": str(path), "bytes": size_of(path)} for name, path in written.items()}
        print(json.dumps({"files": facts, "parity": found or None}))
    else:
        _show(written, found)


def size_of(path: Path) -> int:
    """Bytes of a file, of the graph and the weights of a SavedModel, or of all .onnx files of a folder."""
    if path.is_file():
        return path.stat().st_size
    if not (path / "variables").is_dir():
        return sum(part.stat().st_size for part in path.glob("*.onnx"))
    parts = [path / "saved_model.pb", *(path / "variables").iterdir()]
    return sum(part.stat().st_size for part in parts)


def _formats(text: str) -> list[str]:
    asked = [name.strip() for name in text.split(",") if name.strip()]
    for name in asked:
        if name not in FORMATS:
            raise UserError(f"--formats {name!r}{nearest(name, FORMATS)}; legal: {', '.join(FORMATS)}")
    if not asked:
        raise UserError(f"--formats {text!r} names none; legal: {', '.join(FORMATS)}")
    everything = [name for name in FORMATS if name.startswith("litert_")]
    spread = [part for name in asked for part in (everything if name == "litert" else [name])]
    return list(dict.fromkeys(spread))


def _parity(model: Any, config: Any, dataset: Any, written: dict[str, Path], out: Path) -> dict[str, Any]:
    from vqmm.atomic import write_atomic
    from vqmm.export.parity import compare, reference
    from vqmm.export.picture_parity import compare_pictures
    from vqmm.export.runners import litert_runners, onnx_runners, saved_model_runners
    from vqmm.export.samples import sample_items
    from vqmm.export.sound_bytes_parity import SIGNATURE, compare_sound_bytes

    _tell("the run's codes of the test split")
    items = sample_items(dataset, config, "test", config.evaluate.max_items)
    wanted = {modality: reference(model, modality, values) for modality, values in items.items()}
    found = {}
    for name, path in written.items():
        _tell(f"parity: {name}")
        openers = {"saved_model": saved_model_runners, "onnx": onnx_runners}
        runners = openers.get(name, litert_runners)(path)
        found[name] = {**compare(model, wanted, runners), "bytes": size_of(path)}
        if name == "saved_model" and "image" in items:  # the only format that reads files
            files = compare_pictures(config.data.image, items["image"], runners)
            found[name]["signatures"]["encode_image_bytes"] = files
            if files["differ"]:
                _tell(f"encode_image_bytes gives other codes than prepare for: {', '.join(files['differ'])}")
        if name == "saved_model" and "audio" in items:
            sound = compare_sound_bytes(model, config, dataset, runners(SIGNATURE))
            found[name]["signatures"][SIGNATURE] = sound
    write_atomic(out / "parity.json", json.dumps(found, indent=2) + "\n")
    return found


def _tell(step: str) -> None:
    print(f"export: {step}", file=sys.stderr, flush=True)


def _show(written: dict[str, Path], found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = "test split: codes that are equal, the others by reason, largest error of decoding"
    table = Table("format", "MB", title=title if found else None)
    for heading in ("equal", "shared", "tie", "rounding", "other", "error") if found else ():
        table.add_column(heading)
    for name, path in written.items():
        cells = [name, f"{size_of(path) / 1e6:.2f}"]
        if found:
            same = found[name]
            cells += [f"{same['agreement']:.2%}", f"{same['shared']:.2%}"]
            cells += [str(count) for count in same["flips"].values()]
            cells.append(f"{same['max_abs_diff']:.2g}")
        table.add_row(*cells)
    console = Console()
    console.print(table)
    for path in written.values():
        console.print(str(path), highlight=False, soft_wrap=True)
    sound = found.get("saved_model", {}).get("signatures", {}).get("encode_audio_bytes")
    if sound:
        text = f"{sound['agreement']:.2%} of codes are equal over {len(sound['forms'])} forms of WAV files"
        text += "".join(f"; {form}: refused ({why})" for form, why in sound["refused"].items())
        console.print(f"encode_audio_bytes: {text}", highlight=False, soft_wrap=True)
