import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax")


@pytest.mark.slow
def test_every_layer_is_timed_on_jax(tmp_path):
    """Small sizes, on the processor: that it runs, and what it says of itself."""
    out = tmp_path / "rows.json"
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.accelerator", "--quick", "--json", out],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    tree = json.loads(out.read_text())
    assert [row["what"].split()[0].rstrip(",") for row in tree["rows"]] == [
        "nearest",
        "uniform",
        "networks",
        "networks",
    ]
    assert len(told.splitlines()) == 1 + len(tree["rows"])
    for row in tree["rows"]:
        ceiling = "copy" if row["what"].startswith("uniform") else "float32"
        assert row["milliseconds"] > 0
        assert row["of_ceiling"] == pytest.approx(row["rate"] / tree["ceilings"][ceiling])


def test_another_backend_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr(sys, "argv", ["accelerator"])
    from benchmarks import accelerator

    with pytest.raises(SystemExit, match="2"):
        accelerator.main()
    assert "legal: jax" in capsys.readouterr().err
