"""Files come back in order, whatever the number of workers, and reasons come with them."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile
from PIL import Image

from vqmm.config import AudioSpec, Data, ImageSpec
from vqmm.data.workers import encode_file, encode_files
from vqmm.errors import UserError

DATA = Data(audio=AudioSpec(sample_rate=8_000), image=ImageSpec(height=8, width=8, channels=1))


def _files(folder: Path, count: int) -> list[tuple[Path, str]]:
    files = []
    for number in range(count):
        path = folder / f"{number}.png"
        if number % 7 == 3:
            path.write_text("not a picture")
        else:
            Image.new("L", (8, 8), 3 * number).save(path)
        files.append((path, "image"))
    return files


def test_two_processes_give_what_one_gives_in_order(tmp_path: Path) -> None:
    files = _files(tmp_path, 40)
    alone, together = (list(encode_files(files, DATA, workers)) for workers in (1, 2))
    assert together == alone
    for number, encoded in enumerate(alone):
        if number % 7 == 3:
            assert encoded.data == b"" and "none of PNG" in (encoded.reason or "")
        else:
            assert np.asarray(Image.open(io.BytesIO(encoded.data)))[4, 4] == 3 * number


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_sound_is_stored_in_16_bits_and_states_its_length(
    tmp_path: Path, form: Literal["wav", "flac"]
) -> None:
    data = DATA.model_copy(update={"audio": DATA.audio.model_copy(update={"stored_as": form})})
    wave = np.sin(np.arange(4_000) / 3).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wave, 8_000, subtype="FLOAT")
    encoded = encode_file(tmp_path / "a.wav", "audio", data)
    info = soundfile.info(io.BytesIO(encoded.data))
    assert (info.format, info.subtype, info.channels, info.samplerate) == (form.upper(), "PCM_16", 1, 8_000)
    assert info.frames == encoded.length == 4_000


def test_a_worker_that_dies_names_the_files_in_work(tmp_path: Path) -> None:
    files = _files(tmp_path, 40)

    def and_the_workers_die_meanwhile() -> Iterator[tuple[Path, str]]:
        yield from files
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)
        yield from files * 10  # work that nobody is left to do, however fast the first files were done

    with pytest.raises(UserError, match=r"a decoding process died.*\.png.*--workers 1"):
        list(encode_files(and_the_workers_die_meanwhile(), DATA, 2))


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import multiprocessing, time\n"
        "from vqmm.data.workers import encode_files\n"
        "from vqmm.config import Data\n"
        "if __name__ == '__main__':\n"
        "    from pathlib import Path\n"
        "    results = encode_files([(Path('absent'), 'image')] * 400, Data(), 2)\n"
        "    next(results)\n"
        "    print(*[c.pid for c in multiprocessing.active_children()], flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    ) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(children) == 2
    deadline = time.monotonic() + 60
    while any(_runs(pid) for pid in children):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def test_workers_load_no_tensorflow() -> None:
    code = "import sys, vqmm.data.workers; print('tensorflow' in sys.modules, 'librosa' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == ("False False\n", "")
