"""The quantizers need Keras and one backend: JAX alone is enough."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax")

# An entry of None makes each `import tensorflow` raise ModuleNotFoundError.
SCRIPT = """
import sys
sys.modules["tensorflow"] = None
import keras
import numpy as np
from vqmm.quantizers import Assignment, VectorQuantizer

assert keras.backend.backend() == "jax"
rng = np.random.default_rng(0)
centres = np.eye(4, dtype="float32")
latents = (centres[rng.integers(4, size=(6, 5))] + 0.1 * rng.normal(size=(6, 5, 4))).astype("float32")
quantizer = VectorQuantizer({"shared": 4, "image": 8}, 4, revive_below=0.1)
quantizer.fit(latents, "shared", lambda tokens, size: centres[:size])
np.testing.assert_array_equal(quantizer.live("shared", 0.5), True)
out = quantizer(latents, range="shared")
np.testing.assert_array_equal(out.codes, latents.argmax(-1))
quantizer.update([Assignment(latents, out.codes, None, "shared")])
moved = np.abs(np.asarray(quantizer.table("shared")) - centres)
assert 0 < moved.max() < 0.05, moved
items = keras.Input((5, 4))
model = keras.Model(items, quantizer(items, range="shared").values)
model.save(sys.argv[1])
loaded = keras.saving.load_model(sys.argv[1], safe_mode=True)
np.testing.assert_array_equal(loaded(latents), model(latents))
"""


def test_codes_are_placed_found_moved_and_saved(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "model.keras"],
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
