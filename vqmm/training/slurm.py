"""Who is who among the tasks of a Slurm job step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vqmm.errors import UserError

PORT = 8888  # of the first task of a machine, as in TensorFlow's own resolver


def slurm_config(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """What `TF_CONFIG` would say, from the variables that `srun` gives to each task.

    The first task is the chief. TensorFlow's `SlurmClusterResolver` reads the same variables,
    but it sorts machines by name (`n10` before `n9`, while tasks are numbered the other way)
    and divides by the number of GPUs, which may be none.

    Args:
        environment: variables of the process. `SLURM_PROCID`, `SLURM_STEP_NODELIST` and
            `SLURM_STEP_TASKS_PER_NODE` count; tasks fill one machine after the other.

    Returns:
        `{"cluster": {"worker": [...]}, "task": {"type": "worker", "index": n}}`; None outside of
        a job step.

    Raises:
        UserError: the variables do not fit each other.
    """
    if "SLURM_PROCID" not in environment or "SLURM_STEP_NODELIST" not in environment:
        return None
    nodes, told = environment["SLURM_STEP_NODELIST"], environment.get("SLURM_STEP_TASKS_PER_NODE", "1")
    try:
        hosts, counts = _hosts(nodes), _counts(told)
        place = int(environment["SLURM_PROCID"])
        pairs = list(zip(hosts, counts, strict=True))
        workers = [f"{host}:{PORT + number}" for host, count in pairs for number in range(count)]
        if place not in range(len(workers)):
            raise ValueError("there is no such task")
    except ValueError:
        raise UserError(
            f"SLURM_STEP_NODELIST={nodes!r}, SLURM_STEP_TASKS_PER_NODE={told!r} and "
            f"SLURM_PROCID={environment['SLURM_PROCID']!r} do not fit each other; "
            "start with srun, or set TF_CONFIG"
        ) from None
    return {"cluster": {"worker": workers}, "task": {"type": "worker", "index": place}}


def _hosts(text: str) -> list[str]:
    """`n[9-11,20],gpu1` is n9, n10, n11, n20 and gpu1; zeros in front are kept."""
    found = []
    for entry in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text):
        names = [""]
        for plain, ranges in re.findall(r"([^\[\]]+)|\[([^\]]*)\]", entry):
            parts = [plain] if plain else [name for part in ranges.split(",") for name in _range(part)]
            names = [name + part for name in names for part in parts]
        found += names
    return found


def _range(text: str) -> list[str]:
    first, _, last = text.partition("-")
    return [f"{number:0{len(first)}d}" for number in range(int(first), int(last or first) + 1)]


def _counts(text: str) -> list[int]:
    """`2(x3),1` is 2, 2, 2 and 1."""
    found = []
    for part in text.split(","):
        count, _, times = part.partition("(x")
        found += [int(count)] * int(times.rstrip(")") or 1)
    return found
