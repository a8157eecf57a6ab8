"""Settings of sampling that mean nothing are refused, at every door alike."""

import pytest

from vqmm.config import Sampling, load_config
from vqmm.errors import UserError
from vqmm.sampling_limits import LIMITS, check_limits, check_top_k

OUTSIDE = {
    "temperature": (-0.1, 1e9, float("nan"), float("inf")),
    "guidance": (-1.0, 1e38, float("inf")),
    "randomness": (-1.0, 1e30),
    "top_p": (0.0, 1.01, float("nan")),
}


def test_every_limit_is_tried():
    assert set(OUTSIDE) == set(LIMITS)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in OUTSIDE for value in OUTSIDE[name]])
def test_a_value_outside_is_refused_with_what_is_allowed(name, value, tmp_path):
    low, high, _ = LIMITS[name]
    words = f"{name}={value!r}: give a finite number (from|above) {low:g} to {high:g}"
    with pytest.raises(UserError, match=words.replace("+", r"\+")):
        check_limits({name: value})
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')} "):
        check_limits({name: value}, "--")
    path = tmp_path / "config.yaml"
    path.write_text("prior: {}\n")
    with pytest.raises(UserError, match=f"prior.sampling.{name}"):
        load_config(
            path, [f"prior.sampling.{name}={str(value).replace('inf', '.inf').replace('nan', '.nan')}"]
        )


@pytest.mark.parametrize("name", ["temperature", "guidance"])
def test_each_modality_is_looked_at(name, tmp_path):
    with pytest.raises(UserError, match=f"{name}=1e\\+38"):
        check_limits({name: {"image": 1.0, "audio": 1e38}})
    path = tmp_path / "config.yaml"
    path.write_text(f"prior: {{sampling: {{{name}: {{audio: 1.0e+38}}}}}}\n")
    with pytest.raises(UserError, match=name):
        load_config(path)


def test_the_ends_and_what_is_left_out_are_allowed():
    ends = {name: (limit.high, *(() if limit.above else (limit.low,))) for name, limit in LIMITS.items()}
    for name, values in ends.items():
        for value in values:
            check_limits({name: value})
            assert getattr(Sampling(**{name: value}), name) == value
    check_limits({"temperature": None, "steps": 10**9})


def test_no_more_codes_stay_than_there_are():
    choices = {"shared": 4, "image": 6}
    for top_k in (0, 1, 5, 6):
        check_top_k(top_k, choices)
    for top_k in (-1, 7, 10**9):
        with pytest.raises(UserError, match=rf"top_k={top_k}: .* at most 6 codes \(shared 4, image 6\)"):
            check_top_k(top_k, choices)
