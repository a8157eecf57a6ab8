import json
import types

import numpy as np
import pytest

from benchmarks import decoders as bench
from benchmarks import decoders_worker
from vqmm.data.stored_audio import encode_audio


def test_pieces_are_the_recordings_end_to_end_at_one_rate(tiny_data):
    pieces = bench.cut_pieces(tiny_data, 1, 5)
    assert pieces.dtype == np.int16 and pieces.shape == (5, bench.RATE)
    assert (pieces != 0).mean() > 0.9


def test_every_decoder_has_a_form_and_those_that_load_give_the_samples():
    decoders = decoders_worker.decoders()
    assert decoders.keys() == bench.FORMS.keys()
    samples = np.array([0, -1, 32767, -32768, 5], np.int16)
    for name in decoders.keys() - {"FLAC by tensorflow-io"}:
        form = bench.FORMS[name]
        data = samples.tobytes() if form == "raw" else encode_audio(samples, bench.RATE, form)
        np.testing.assert_array_equal(decoders[name](data), samples, err_msg=name)


def test_rates_are_beside_libsndfile_and_a_decoder_that_does_not_load_is_named(monkeypatch, capsys, tmp_path):
    class FakeWorker:
        def __init__(self, python, module, task):
            self.failed = "undefined symbol" if task["decoder"] == "FLAC by tensorflow-io" else ""
            self.ready, self.turns = {}, []
            self.cost = {"FLAC by libsndfile": 40.0, "WAV": 4.0}.get(task["decoder"], 8.0)

        def turn(self, seconds):
            self.turns.append({"cpu_milliseconds": self.cost})

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(bench, "Worker", FakeWorker)
    args = types.SimpleNamespace(native=None, rounds=2, seconds=0.1)
    pieces = np.zeros((3, bench.RATE), np.int16)
    table = bench._rates(args, pieces, {})
    rows = {row["what"].removeprefix("decoding "): row for row in table}
    assert rows["FLAC by libsndfile"]["recordings_a_second"] == pytest.approx(32 / 0.04)
    assert rows["WAV"]["ratio_to_peer"] == pytest.approx(10)
    assert rows["FLAC by tensorflow-io"]["failed"] == "undefined symbol"
    assert rows["WAV"]["stored_bytes"] == 44 + 2 * bench.RATE
    assert rows["samples alone"]["stored_bytes"] == 2 * bench.RATE
    json.dumps(table)
    bench._show(table)
    assert "undefined symbol" in capsys.readouterr().out
