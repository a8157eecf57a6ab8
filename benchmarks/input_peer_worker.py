"""A PyTorch DataLoader over the files; `benchmarks.input` runs it with a Python that has PyTorch."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.training_peer_model import LogMel
from benchmarks.turns import serve

FRAME, HOP = 256, 64  # samples over which trimming looks at the level


class Pairs(Dataset):
    """A recording's window and a picture, from their files."""

    def __init__(self, files: dict[str, list[str]], audio: dict[str, Any], image: dict[str, Any]):
        self.files, self.audio, self.image = files, audio, image

    def __len__(self) -> int:
        return len(self.files["audio"])

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        sound, rate = soundfile.read(self.files["audio"][place], dtype="float32", always_2d=True)
        sound = soxr.resample(sound.mean(axis=1), rate, self.audio["sample_rate"])
        window = torch.zeros(self.audio["samples"])
        cut = self._trimmed(torch.from_numpy(np.ascontiguousarray(sound)))[: len(window)]
        window[: len(cut)] = cut
        picture = Image.open(self.files["image"][place % len(self.files["image"])])
        size = (self.image["width"], self.image["height"])
        pixels = picture.convert("L" if self.image["channels"] == 1 else "RGB").resize(
            size, Image.Resampling.BICUBIC
        )
        return window, torch.from_numpy(np.asarray(pixels, np.float32) / 255.0)

    def _trimmed(self, sound: Tensor) -> Tensor:
        if len(sound) < FRAME:
            return sound
        level = 10 * sound.unfold(0, FRAME, HOP).square().mean(1).clamp(min=1e-10).log10()
        loud = torch.nonzero(level > level.max() - self.audio["trim_db"])[:, 0]
        return sound[int(loud[0]) * HOP : int(loud[-1]) * HOP + FRAME]


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    config = task["config"]
    data, spec = config["data"], config["model"]["log_mel"]
    mel = LogMel(data["audio"]["sample_rate"], **spec)
    loader = DataLoader(
        Pairs(task["files"], data["audio"], data["image"]),
        config["train"]["batch_size"],
        shuffle=True,
        drop_last=True,
    )

    def endless() -> Any:
        while True:
            yield from loader

    batches = endless()

    @torch.no_grad()
    def run(count: int) -> None:
        for _ in range(count):
            window, pixels = next(batches)
            mel(window)

    run(1)
    serve(run, {"versions": {"torch": torch.__version__, "soxr": soxr.__version__}})
