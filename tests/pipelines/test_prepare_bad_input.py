"""Bad input through the real command line: one line, exit 2, nothing half-written."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from vqmm.config import load_config
from vqmm.data.prepare import prepare

ROOT = Path(__file__).resolve().parents[2]
RATE = 8_000
CONFIG = """
data:
  max_rejected: 1.0
  records_per_shard: 4
  audio: {sample_rate: 8000}
  image: {height: 16, width: 16, channels: 3}
"""


def _arguments(manifest: Path, out: Path, *more: str) -> list[str]:
    config = manifest.with_name("config.yaml")
    return [*map(str, ("--manifest", manifest, "--config", config, "--out", out, "--workers", "1", *more))]


def _command(manifest: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.prepare", *_arguments(manifest, out, *more)]


def _run(
    manifest: Path, out: Path, *more: str, limits: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(manifest, out, *more),
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=limits,
    )


def _error(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a mistake of the user's gives."""
    assert done.returncode == 2 and done.stdout == "", (done.returncode, done.stdout, done.stderr)
    (line,) = done.stderr.splitlines()
    assert line.startswith("prepare: ")
    return line


def _tone(seconds: float = 0.3, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 300 / rate)


def _manifest(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG)
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def _pairs(folder: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    lines = ["audio,image,split"]
    folder.mkdir()
    for number in range(count):
        soundfile.write(folder / f"{number}.wav", 0.3 * rng.standard_normal(RATE), RATE)
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.wav,{number}.png,train")
    return _manifest(folder, *lines)


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def _undisturbed(manifest: Path, out: Path) -> None:
    """What the command should leave, made in this process, which has TensorFlow loaded."""
    prepare(manifest, load_config(manifest.with_name("config.yaml")), out, workers=1, progress=False)


def _zero_png(path: Path, side: int) -> None:
    """A whole picture of side x side zeros, written row by row: a few hundred kB for 400 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pack = zlib.compressobj(1)
    rows = 100
    data = b"".join(pack.compress(bytes(rows * (side + 1))) for _ in range(side // rows)) + pack.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def _bad_audio(folder: Path) -> dict[str, str | None]:
    """File name to the reason that is expected; None for what must work."""
    soundfile.write(folder / "whole.wav", _tone(), RATE)
    raw = (folder / "whole.wav").read_bytes()
    (folder / "truncated.wav").write_bytes(raw[: len(raw) // 2])
    soundfile.write(folder / "no_seconds.wav", _tone()[:0], RATE)
    nan = _tone()
    nan[5] = np.nan
    soundfile.write(folder / "nan.wav", nan, RATE, subtype="FLOAT")
    soundfile.write(folder / "four_channels.wav", np.stack([_tone(0.3, 192_000)] * 4, axis=1), 192_000)
    soundfile.write(folder.parent / "outside.wav", _tone(), RATE)
    return {
        "whole.wav": None,
        "four_channels.wav": None,
        "truncated.wav": "is truncated",
        "no_seconds.wav": "holds no samples (0 seconds)",
        "nan.wav": "holds NaN or infinite samples",
        "../outside.wav": "leaves the manifest's folder",
        "absent.wav": "no such file",
    }


def _bad_images(folder: Path) -> dict[str, str | None]:
    red = Image.new("RGB", (20, 20), (220, 30, 30))
    red.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    red.putalpha(255)
    red.save(folder / "alpha.png")
    Image.fromarray(np.full((20, 20), 30_000, np.uint16)).save(folder / "grey16.png")
    (folder / "text.png").write_text("this is a letter, not a picture")
    Image.new("L", (1, 1)).save(folder / "dot.png")
    _zero_png(folder / "huge.png", 20_000)
    return {
        "cmyk.jpg": None,
        "alpha.png": None,
        "grey16.png": None,
        "text.png": "is none of PNG, JPEG, GIF, BMP, WEBP",
        "dot.png": "has 1 x 1 pixels",
        "huge.png": "(400000000 pixels)",
    }


def test_each_bad_file_has_its_reason_the_odd_ones_work_and_memory_stays_small(tmp_path: Path) -> None:
    folder, out = tmp_path / "pairs", tmp_path / "out"
    folder.mkdir()
    audio, images = _bad_audio(folder), _bad_images(folder)
    lines = [f"{name},," for name in audio] + [f",{name}," for name in images]
    manifest = _manifest(folder, "audio,image,split", *(line + "train" for line in lines))
    # 400 million grey pixels would take 400 MB on top of what TensorFlow maps.
    done = _run(manifest, out, "--json", "--set", "data.image.channels=1")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    wanted = audio | images
    with (out / "rejected.csv").open(newline="") as file:
        reasons = {line["path"]: line["reason"] for line in csv.DictReader(file)}
    assert set(reasons) == {name for name, reason in wanted.items() if reason}
    for name, reason in reasons.items():
        assert (wanted[name] or "") in reason
    assert said["counts"]["train"] == {"pairs_items": 0, "recordings": 2, "pictures": 3}
    assert said["rejected"] == len(reasons)


def test_a_huge_picture_costs_no_memory(tmp_path: Path) -> None:
    _zero_png(tmp_path / "huge.png", 20_000)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from vqmm.config import Data\n"
        "from vqmm.data.workers import encode_file\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert encode_file(Path(sys.argv[1]), 'image', Data()).reason\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "huge.png")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(said.stdout) < 20_000, "kB more than before"


@pytest.mark.parametrize(
    ("lines", "more", "message"),
    [
        (["audio,image"], (), "is empty: it has no rows"),
        (["sound,picture", "a,b"], (), "it needs 'audio', 'image' or both"),
        (["audio,imgae", "a,b"], (), "unknown column 'imgae' (did you mean 'image'?)"),
        (["audio,id", "a.wav,x", "b.wav,x"], (), "'x' in rows 1, 2"),
        (["audio,split", "a.wav,tset"], (), "split='tset' (did you mean 'test'?)"),
        (["audio", "a.wav"], ("--set", "data.audio.sample_rat=8000"), "(did you mean 'sample_rate'?)"),
        (["audio", "a.wav"], ("--set", "data.image.height=tall"), "data.image.height='tall'"),
        (["audio", "a.wav"], ("--limit", "3"), "only with --source"),
        (["audio", "a.wav"], ("--archive", "x"), "only --source tuxpaint"),
    ],
)
def test_wrong_usage_is_one_line(
    verb: Callable[..., Any], tmp_path: Path, lines: list[str], more: tuple[str, ...], message: str
) -> None:
    given = _arguments(_manifest(tmp_path / "pairs", *lines), tmp_path / "out", *more)
    assert message in verb("prepare", *given).refusal()
    assert not (tmp_path / "out").exists()


def test_a_disk_that_fills_up_names_path_and_bytes_and_then_the_run_goes_on(tmp_path: Path) -> None:
    manifest, out, whole = _pairs(tmp_path / "pairs", 10), tmp_path / "out", tmp_path / "whole"

    def limits() -> None:  # no file above 30,000 bytes: a shard of four clips has twice as many
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    line = _error(_run(manifest, out, limits=limits))
    assert "cannot write" in line and "audio-train-00000-of-00003.tfrecord" in line
    assert "no more room after 30000 bytes" in line
    assert [path.name for path in out.iterdir()] == [".prepare"]
    assert _run(manifest, out).returncode == 0
    _undisturbed(manifest, whole)
    assert _tree(out) == _tree(whole)


def test_kill_9_in_the_middle_then_the_same_command_gives_the_same_bytes(tmp_path: Path) -> None:
    manifest, out, whole = _pairs(tmp_path / "pairs", 60), tmp_path / "out", tmp_path / "whole"
    _undisturbed(manifest, whole)
    with subprocess.Popen(
        _command(manifest, out),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        deadline = time.monotonic() + 240
        while len(list(out.glob("*.tfrecord"))) < 3:
            assert time.monotonic() < deadline and running.poll() is None
            time.sleep(0.001)
        running.send_signal(signal.SIGKILL)
    assert not (out / "dataset.json").exists()
    finished = {path.name: path.stat().st_mtime_ns for path in (out / ".prepare").glob("*.tfrecord.json")}
    stamps = {name[:-5]: (out / name[:-5]).stat().st_mtime_ns for name in finished}
    done = _run(manifest, out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["reused_shards"] == len(finished) >= 2
    assert {name: (out / name).stat().st_mtime_ns for name in stamps} == stamps
    assert _tree(out) == _tree(whole)
