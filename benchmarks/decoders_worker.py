"""Decodes stored recordings by one decoder; see `benchmarks.decoders`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.turns import serve

BATCH = 32  # recordings


def decoders() -> dict[str, Callable[[Any], Any]]:
    """Functions from the stored bytes of a recording to i16[n], by name."""
    import tensorflow as tf

    from vqmm.data import flac_decoder
    from vqmm.data.decode import decode_audio_record

    def by_decode_wav(data: Any) -> Any:
        return tf.cast(tf.round(tf.audio.decode_wav(data, 1).audio[:, 0] * 32768.0), tf.int16)

    return {
        "FLAC by tensorflow-io": flac_decoder.decode_flac_natively,
        "FLAC by libsndfile": flac_decoder.decode_flac_by_libsndfile,
        "WAV": lambda data: decode_audio_record(data, "wav"),
        "WAV by decode_wav": by_decode_wav,
        "samples alone": lambda data: tf.io.decode_raw(data, tf.int16),
    }


def main(task: dict[str, Any]) -> None:
    """Serves batches of decoded recordings."""
    import tensorflow as tf

    from vqmm.data.flac_decoder import flac_decoder

    tf.config.threading.set_intra_op_parallelism_threads(task["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(task["threads"])
    if task["decoder"] == "FLAC by tensorflow-io" and flac_decoder().name != "tensorflow-io":
        sys.exit(flac_decoder().reason)
    stored = [path.read_bytes() for path in sorted(Path(task["folder"]).iterdir())]
    decode, signature = decoders()[task["decoder"]], tf.TensorSpec([None], tf.int16)

    @tf.function(autograph=False)
    def decode_batch(data: Any) -> Any:  # as `vqmm.data.readers` does it
        return tf.map_fn(decode, data, fn_output_signature=signature)

    batch = tf.constant((stored * BATCH)[:BATCH])
    wanted = np.load(task["samples"])
    if not np.array_equal(decode_batch(batch), wanted[np.arange(BATCH) % len(wanted)]):
        sys.exit(f"{task['decoder']} decodes to other samples")

    def run(count: int) -> None:
        for _ in range(count):
            decode_batch(batch).numpy()

    serve(run, {"versions": {"tensorflow": tf.__version__, "numpy": np.__version__}})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
