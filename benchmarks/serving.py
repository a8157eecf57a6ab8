"""What a service does with twice what it can hold, while a new version comes in.

    python -m benchmarks.serving --export runs/demo/export --index runs/demo/index --data data/digits
        [--seconds 20] [--json FILE]

Recordings and pictures of the test split are searched with `/search`. First each is sent alone: what comes
back is what is right. Then a few clients send as fast as they are answered, which tells the rate that the
service holds. Then requests come at twice that rate, whether answered or not, and in the middle of it the
export gets a new version. Clients and service share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.commands.cli import run

ITEMS = 32  # recordings, and as many pictures
CLIENTS = 8  # of the first measurement
Question = tuple[bytes, str]


class Answer(NamedTuple):
    """Status (0: the connection broke), seconds, whether right, version."""

    status: int
    seconds: float
    right: bool
    version: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--export", type=Path, required=True, help="what vqmm export left")
    parser.add_argument("--index", type=Path, required=True, help="what vqmm index left of the same run")
    parser.add_argument("--data", type=Path, required=True, help="its prepared data")
    parser.add_argument("--seconds", type=float, default=40.0, help="of too much load (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")


def main(args: argparse.Namespace) -> None:
    from vqmm.atomic import write_atomic
    from vqmm.data.records import Dataset
    from vqmm.data.stored_audio import MEDIA_TYPES, stored_audio
    from vqmm.serving.versions import versions_in

    held = Dataset.open(args.data).split("test")
    sounds, pictures = held.recordings.data[:ITEMS], held.pictures.data[:ITEMS]
    questions: list[Question] = [(bytes(data), MEDIA_TYPES[stored_audio(data)]) for data in sounds]
    questions += [(bytes(data), "image/png") for data in pictures]
    with tempfile.TemporaryDirectory() as folder:
        source = args.export / "saved_model"
        version = versions_in(source)[-1]
        export = Path(folder) / "saved_model"
        shutil.copytree(source / str(version), export / str(version))
        command = [sys.executable, "-m", "pipelines.serve", "--export", folder, "--index", str(args.index)]
        command += ["--port", "0", "--json", "--poll-s", "1"]
        with (
            (Path(folder) / "log").open("w") as log,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=dict(os.environ)) as process,
        ):
            try:
                lines = process.stdout
                url = json.loads(lines.readline() if lines else b"")["url"]
                found = asyncio.run(_measure(url, questions, args.seconds, export / str(version)))
            finally:
                process.send_signal(signal.SIGTERM)
            found["exit_status"] = process.wait(60)
    for name, value in found.items():
        print(f"{name}: {value}")
    if args.json:
        write_atomic(args.json, json.dumps(found, indent=2) + "\n")


async def _measure(url: str, questions: list[Question], seconds: float, version: Path) -> dict[str, Any]:
    port = int(url.rpartition(":")[2])
    expected = [(await _post(port, question))[1]["hits"] for question in questions]

    async def ask(number: int) -> Answer:
        number %= len(questions)
        started = time.perf_counter()
        try:
            status, body = await _post(port, questions[number])
        except (OSError, ValueError, IndexError, asyncio.IncompleteReadError):
            return Answer(0, time.perf_counter() - started, False, 0)
        took = time.perf_counter() - started
        return Answer(status, took, _same(body.get("hits"), expected[number]), body.get("version", 0))

    async def client(number: int, until: float) -> list[Answer]:
        answers: list[Answer] = []
        while time.perf_counter() < until:
            answers.append(await ask(number + CLIENTS * len(answers)))
        return answers

    length = min(5.0, seconds)
    until = time.perf_counter() + length
    calm = [a for p in await asyncio.gather(*(client(n, until) for n in range(CLIENTS))) for a in p]
    rate = len(calm) / length
    started = time.perf_counter()
    tasks: list[asyncio.Task[Answer]] = []
    copied = None
    while (now := time.perf_counter() - started) < seconds:
        while len(tasks) < 2 * rate * now:
            tasks.append(asyncio.create_task(ask(len(tasks))))
        if copied is None and now > seconds / 3:
            copied = asyncio.create_task(asyncio.to_thread(_next_version, version))
        await asyncio.sleep(0.002)
    answers = await asyncio.gather(*tasks)
    if copied is not None:
        await copied
    good = [a for a in answers if a.status == 200]
    return {
        "calm_per_second": round(rate, 1),
        "calm_p99_ms": _p99(calm),
        "sent": len(answers),
        "sent_per_second": round(len(answers) / seconds, 1),
        "status": {str(status): n for status, n in sorted(Counter(a.status for a in answers).items())},
        "wrong": sum(not a.right for a in [*good, *calm]),
        "accepted_per_second": round(len(good) / seconds, 1),
        "accepted_p50_ms": _p99(good, 0.5),
        "accepted_p99_ms": _p99(good),
        "versions": {str(v): n for v, n in sorted(Counter(a.version for a in good).items())},
    }


async def _post(port: int, question: Question) -> tuple[int, Any]:
    """By hand: a client library takes more of the machine than the service."""
    data, kind = question
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"POST /search HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        said = await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()
    first, _, body = said.partition(b"\r\n\r\n")
    return int(first.split()[1]), json.loads(body)


def _same(hits: Any, expected: Any) -> bool:
    """The same items in the same order; scores may differ by rounding."""
    if hits is None or [hit["id"] for hit in hits] != [hit["id"] for hit in expected]:
        return False
    return all(abs(hit["score"] - e["score"]) < 1e-3 for hit, e in zip(hits, expected, strict=True))


def _next_version(folder: Path) -> None:
    part = shutil.copytree(folder, folder.parent / ".next.part")
    part.rename(folder.parent / str(int(folder.name) + 1))


def _p99(answers: list[Answer], share: float = 0.99) -> float:
    took = sorted(a.seconds for a in answers)
    return round(1000 * took[min(len(took) - 1, int(share * len(took)))], 1) if took else float("nan")


if __name__ == "__main__":
    run(
        "serving",
        (__doc__ or "").split("\n")[0],
        "",
        add_arguments,
        main,
        program="python -m benchmarks.serving",
    )
