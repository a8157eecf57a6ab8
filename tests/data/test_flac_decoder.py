"""FLAC decodes to the same samples by either decoder, and the choice of one is silent and explained."""

from __future__ import annotations

import logging
import subprocess
import sys
import types
from collections.abc import Iterator

import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies
import numpy as np
import pytest
import tensorflow as tf

from vqmm.data import flac_decoder as module
from vqmm.data.flac_decoder import (
    VARIABLE,
    FlacDecoder,
    decode_flac,
    decode_flac_by_libsndfile,
    decode_flac_natively,
    flac_decoder,
    read_flac,
)
from vqmm.data.stored_audio import encode_audio
from vqmm.errors import UserError

NATIVE = flac_decoder().name == "tensorflow-io"

noises = hypothesis.extra.numpy.arrays(np.int16, hypothesis.strategies.integers(0, 300))
tones = hypothesis.strategies.builds(
    lambda length, step, level: np.round(level * np.sin(step * np.arange(length))).astype(np.int16),
    hypothesis.strategies.sampled_from([0, 1, 2, 3, 255, 4095, 4096, 4097, 9001]),
    hypothesis.strategies.floats(0, 3),
    hypothesis.strategies.sampled_from([0, 1, 300, 32767]),
)


@pytest.fixture
def unchosen() -> Iterator[None]:
    """Lets a test choose anew."""
    flac_decoder.cache_clear()
    yield
    flac_decoder.cache_clear()


@pytest.mark.parametrize(
    "decode",
    [
        pytest.param(
            decode_flac_natively,
            marks=pytest.mark.skipif(not NATIVE, reason="the native library of tensorflow-io does not load"),
        ),
        decode_flac_by_libsndfile,
        decode_flac,
    ],
    ids=["tensorflow-io", "libsndfile", "the chosen one"],
)
def test_all_decoders_give_the_stored_samples_to_the_bit(decode: object) -> None:
    in_graph = tf.function(decode, input_signature=[tf.TensorSpec([], tf.string)])

    @hypothesis.settings(max_examples=60)
    @hypothesis.given(noises | tones)
    def holds(samples: np.ndarray) -> None:
        data = encode_audio(samples, 16_000, "flac")
        found = in_graph(data)
        assert found.dtype == tf.int16
        np.testing.assert_array_equal(found, samples)
        np.testing.assert_array_equal(found, read_flac(data))

    holds()


def test_the_choice_writes_nothing_at_any_log_level() -> None:
    code = """
import os, sys, warnings
import tensorflow
tensorflow.constant(1) + 1
warnings.simplefilter("error")
def mark():
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.write(stream.fileno(), b"\\n=== MARK\\n")
mark()
from vqmm.data.flac_decoder import decode_flac, flac_decoder
flac_decoder()
mark()
"""
    child = {"TF_CPP_MIN_LOG_LEVEL": "0", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=child)
    for written in (done.stdout, done.stderr):
        assert written.split("\n=== MARK\n")[1] == ""


def test_the_import_loads_no_tensorflow() -> None:
    code = "import sys, vqmm.data.flac_decoder; print([n for n in sys.modules if n.startswith('tensorflow')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.usefixtures("unchosen")
def test_the_choice_is_made_once_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "vqmm.data"):
        chosen = flac_decoder()
        assert flac_decoder() is chosen
    lines = [record.getMessage() for record in caplog.records if record.name == "vqmm.data"]
    assert lines == [f"FLAC is decoded by {chosen.name}: {chosen.reason}"]


@pytest.mark.usefixtures("unchosen")
def test_the_environment_may_leave_the_native_decoder_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "version", lambda name: "0.37.1")
    monkeypatch.setenv(VARIABLE, "libsndfile")
    assert flac_decoder() == FlacDecoder(
        "libsndfile", "0.37.1", f"the environment variable {VARIABLE} says so"
    )
    flac_decoder.cache_clear()
    monkeypatch.setenv(VARIABLE, "ffmpeg")
    with pytest.raises(UserError, match=r"'ffmpeg'; it may be 'libsndfile', or unset for tensorflow-io"):
        flac_decoder()


def _undefined_symbol(data: bytes, dtype: object) -> object:
    raise NotImplementedError(
        "unable to open file: libtensorflow_io.so, caused by: [undefined symbol: _ZN10]"
    )


@pytest.mark.usefixtures("unchosen")
@pytest.mark.parametrize(
    ("decode", "reason"),
    [
        (_undefined_symbol, "its native library was built for another TensorFlow"),
        (lambda data, dtype: tf.zeros((7, 1), dtype), "it decodes to wrong samples"),
        (lambda data, dtype: tf.constant(module.PROBE[:, None]), "its native library loads"),
    ],
    ids=["undefined symbol", "wrong samples", "right samples"],
)
def test_the_native_decoder_is_taken_only_where_it_decodes_right(
    monkeypatch: pytest.MonkeyPatch, decode: object, reason: str
) -> None:
    stub = types.SimpleNamespace(audio=types.SimpleNamespace(decode_flac=decode))
    monkeypatch.setitem(sys.modules, "tensorflow_io", stub)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "version", lambda name: "0.37.1")
    chosen = flac_decoder()
    assert (chosen.name == "tensorflow-io") == (reason == "its native library loads")
    assert chosen.version == "0.37.1"
    assert chosen.reason == f"tensorflow-io 0.37.1 on TensorFlow {tf.__version__}: {reason}"


@pytest.mark.usefixtures("unchosen")
def test_a_missing_library_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise module.PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", missing)
    assert flac_decoder() == FlacDecoder("libsndfile", None, "tensorflow-io is not installed")
