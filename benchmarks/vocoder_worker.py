"""One voice at work on clip after clip; `benchmarks.vocoder` runs it in turns."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.turns import serve


def main(task: dict[str, Any]) -> None:
    """Speaks the clips of `log_mel` (a .npy file), with `vocoder` (a run) or by Griffin-Lim."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(task["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(task["threads"])
    from vqmm.config import load_config
    from vqmm.training.vocoder_run import open_voice
    from vqmm.voice import griffin_lim

    config = load_config(task["config"])
    folder = Path(task["vocoder"]) if task.get("vocoder") else None
    voice = open_voice(folder, config) or griffin_lim(config)
    clips = np.load(task["log_mel"])
    turn = itertools.cycle(range(len(clips)))

    def speak(count: int) -> None:
        for place in itertools.islice(turn, count):
            voice(clips[place : place + 1])

    serve(
        speak, {"seconds": clips.shape[1] * config.model.log_mel.hop_length / config.data.audio.sample_rate}
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
