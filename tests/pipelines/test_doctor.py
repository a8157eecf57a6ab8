"""The doctor names what is installed, what is missing and what mends it."""

import argparse
import importlib
import json
import sys

import pytest

from vqmm.commands import doctor
from vqmm.commands.launch import VERBS
from vqmm.extras import CORE, EXTRAS


def report(capsys, *words):
    parser = argparse.ArgumentParser()
    doctor.add_arguments(parser)
    status = doctor.main(parser.parse_args(words))
    return status, capsys.readouterr().out


def test_reports_versions_devices_decoders_extras_and_verbs(capsys):
    status, text = report(capsys, "--json")
    found = json.loads(text)
    assert status == 0 and found["works"] and not found["faults"]
    assert found["versions"]["numpy"] == importlib.import_module("numpy").__version__
    assert {"Python", "vqmm", *CORE.values()} == set(found["versions"])
    assert any(device.startswith("CPU") for device in found["devices"])
    assert found["decoders"]["recordings"].startswith("WAV, FLAC, MP3, OGG")
    assert found["decoders"]["pictures"].startswith("PNG, JPEG, GIF, BMP, WEBP")
    assert set(found["extras"]) == set(EXTRAS) and set(found["verbs"]) == set(VERBS)


def test_names_what_a_missing_extra_takes_from_a_verb(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    status, text = report(capsys)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert status == 0
    assert "digits missing: espeakng-loader; pip install 'vqmm[digits]'" in lines
    assert any(line.startswith("prepare ") and "pip install 'vqmm[digits]'" in line for line in lines)
    assert any(line.startswith("export ") and "pip install 'vqmm[onnx]'" in line for line in lines)
    assert "reconstruct works" in lines


@pytest.mark.parametrize("module", ["faiss", "PIL"])
def test_a_package_of_the_core_that_does_not_load_is_a_fault(module, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    status, text = report(capsys)
    assert status == 1
    assert f"fault: {CORE[module]} does not load (ModuleNotFoundError" in text
