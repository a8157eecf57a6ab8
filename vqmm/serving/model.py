"""One version of an exported model, in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow.core.protobuf import saved_model_pb2

from vqmm.config import Config
from vqmm.errors import UserError
from vqmm.export.warmup import example, square_png, tone_wav
from vqmm.plain_reason import plain_reason
from vqmm.serving.batcher import Arrays, Batcher
from vqmm.serving.media import MediaReader
from vqmm.serving.settings import Settings

# A graph reads files one after the other, each for up to seconds, and cannot be stopped: between two
# calls, a request whose client is gone or whose time is over is dropped.
FILES_PER_CALL = 1


class ServedModel:
    """A version and the batchers in front of its signatures.

    Args:
        folder: of the version; its name is the version's number.
        settings: of the service.
        seen: told signature and rows of each batch.

    Attributes:
        version: its number.
        facts: `vqmm.json`.
        signatures: by name, with `inputs` and `outputs` as `vqmm.json` has them.
        config: of the run.
        media: reads files for it.
        request_pixels: that all pictures of one request may have together.

    Raises:
        UserError: it cannot be loaded.
    """

    def __init__(
        self, folder: Path, settings: Settings, seen: Callable[[str, int], None] = lambda name, rows: None
    ) -> None:
        self.version = int(folder.name)
        try:
            self.facts = json.loads((folder / "assets.extra" / "vqmm.json").read_text(encoding="utf-8"))
            self._loaded = tf.saved_model.load(str(folder))
            stored = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
            self.signatures: dict[str, Any] = self.facts["signatures"]
            self.fingerprint: str = self.facts["fingerprint"]
            self.config = Config.model_validate(self.facts["config"])
            self._functions = {name: self._loaded.signatures[name] for name in self.signatures}
        except Exception as error:  # of a damaged file nearly anything
            reason = plain_reason(error)
            raise UserError(f"{folder} is no export of vqmm that can be served: {reason}") from None
        self._definitions = stored.meta_graphs[0].signature_def
        self.media = MediaReader(self.config, settings)
        # Exports of version 0.1 state no limit.
        exported = self.facts.get("limits", {}).get("request_pixels", settings.pixels)
        self.request_pixels = min(settings.pixels, exported)
        self._batchers = {
            name: Batcher(
                self._runner(name),
                settings,
                name,
                partial(seen, name),
                FILES_PER_CALL if _takes_files(signature) else settings.batch,
            )
            for name, signature in self.signatures.items()
        }

    def submit(self, signature: str, inputs: Arrays) -> Future[dict[str, npt.NDArray[Any]]]:
        """Queues rows for a signature; see `Batcher.submit`."""
        return self._batchers[signature].submit(inputs)

    def waiting(self) -> dict[str, int]:
        """Rows that wait, by signature."""
        return {name: batcher.waiting for name, batcher in self._batchers.items()}

    def warm(self) -> None:
        """Runs every signature once with one row and once with as many as one call may have."""
        image = self.config.data.image
        files = {
            "audio_bytes": tone_wav(self.config.data.audio.sample_rate),
            "image_bytes": square_png((image.height, image.width, image.channels)),
        }
        self.media.read(files["audio_bytes"], "audio")  # traces its graph
        for name, signature in self.signatures.items():
            for rows in sorted({1, self._batchers[name].most}):
                inputs = {}
                for key, spec in signature["inputs"].items():
                    like = tf.TensorSpec(spec["shape"], spec["dtype"])
                    value = example(key, like, rows, files)
                    inputs[key] = np.array(value, object if like.dtype == tf.string else None)
                self._runner(name)(inputs)

    def metadata(self) -> dict[str, Any]:
        """The signatures as TensorFlow Serving's metadata has them, and what values go in, under `vqmm`."""
        told = {
            name: MessageToDict(d, preserving_proto_field_name=True)
            for name, d in self._definitions.items()
            if name in self.signatures
        }
        return {
            "model_spec": {"name": "vqmm", "signature_name": "", "version": str(self.version)},
            "metadata": {
                "signature_def": {"signature_def": told},
                "vqmm": {name: self.facts[name] for name in ("audio", "image", "ranges")},
            },
        }

    def close(self) -> None:
        """Answers what is queued and ends the threads."""
        for batcher in self._batchers.values():
            batcher.close()

    def _runner(self, name: str) -> Callable[[Arrays], Arrays]:
        function = self._functions[name]

        def run(inputs: Arrays) -> Mapping[str, npt.NDArray[Any]]:
            tensors = {key: tf.convert_to_tensor(value) for key, value in inputs.items()}
            try:
                found = function(**tensors)
            except UnicodeDecodeError as error:  # the graph's message quotes bytes of a file
                said = bytes(error.object).decode("utf-8", "replace")
                raise tf.errors.InvalidArgumentError(None, None, said) from None
            except tf.errors.DataLossError:  # of the zlib stream that holds a PNG file's profile
                said = "the picture has a damaged colour profile (iCCP); save it as sRGB"
                raise tf.errors.InvalidArgumentError(None, None, said) from None
            return {key: value.numpy() for key, value in found.items()}

        return run


def _takes_files(signature: Mapping[str, Any]) -> bool:
    return any(spec["dtype"] == "string" for spec in signature["inputs"].values())
