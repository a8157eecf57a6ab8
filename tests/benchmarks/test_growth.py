import numpy as np
import pytest

from benchmarks.growth import exponent, exponents, growth_plot


def row(axis, at, **sides):
    names = ("cpu_milliseconds", "mebibytes")
    return {"axis": axis, "at": at, "sides": {k: dict(zip(names, v, strict=True)) for k, v in sides.items()}}


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_its_power(power):
    sizes = np.array([16.0, 32.0, 128.0])
    assert exponent(sizes, 7.0 * sizes**power) == pytest.approx(power, abs=1e-9)


def test_a_fixed_cost_weighs_less_between_the_last_sizes():
    rows = [row("batch", n, ours=(100.0 + n, n**2)) for n in (256, 16, 64)]
    found = exponents(rows)["batch"]["ours"]
    assert 0 < found["cpu_milliseconds_all"] < found["cpu_milliseconds_last"] < 1
    assert found["mebibytes_all"] == pytest.approx(2.0)


def test_a_side_that_failed_at_a_size_is_left_out_there(tmp_path):
    rows = [row("codes", n, ours=(n, n), eager=(2 * n, n)) for n in (8, 16, 32)]
    rows[1]["sides"]["eager"] = {"failed": "stopped"}
    found = exponents(rows)["codes"]
    assert found["eager"]["cpu_milliseconds_all"] == pytest.approx(1.0)
    growth_plot(rows, tmp_path / "made" / "growth.png")
    assert (tmp_path / "made" / "growth.png").read_bytes().startswith(b"\x89PNG")
