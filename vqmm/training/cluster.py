"""Several processes that train one model together: who is who, and what they agree on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal as signals
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vqmm.config import Train
from vqmm.errors import UserError
from vqmm.training.slurm import slurm_config
from vqmm.training.stop_signals import SIGNALS

EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Task:
    """This process among those that train.

    Attributes:
        index: from 0; number 0 is the chief, who alone writes the run folder.
        count: of processes.
    """

    index: int = 0
    count: int = 1

    @property
    def chief(self) -> bool:
        """Whether this process writes."""
        return self.index == 0


def task_of(train: Train, environment: Mapping[str, str] = os.environ) -> Task:
    """Reads `TF_CONFIG`, or Slurm's variables, where the config asks for several workers. Without TensorFlow.

    Args:
        train: with `strategy` `"multi_worker"`; any other trains in one process.
        environment: variables of the process.

    Raises:
        UserError: `TF_CONFIG` is missing outside of Slurm, or does not say who this process is.
    """
    if train.strategy != "multi_worker":
        return Task()
    text = cluster_text(environment)
    try:
        told = json.loads(text)
        jobs, task = told["cluster"], told["task"]
        hosts = {job: list(jobs.get(job, ())) for job in ("chief", "worker")}
        place = int(task["index"])
        hosts[task["type"]][place]  # noqa: B018 - raises where there is no such host
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise UserError(
            f"train.strategy=multi_worker needs the environment variable TF_CONFIG, which is {text!r}; "
            f"give every process the same hosts and an index of its own, as in TF_CONFIG='{EXAMPLE}'"
        ) from None
    first = len(hosts["chief"]) if task["type"] == "worker" else 0
    return Task(first + place, sum(map(len, hosts.values())))


def cluster_text(environment: Mapping[str, str] = os.environ) -> str:
    """`TF_CONFIG`; where it is not set, what Slurm's variables say in its form; "" without either."""
    if environment.get("TF_CONFIG"):
        return environment["TF_CONFIG"]
    found = slurm_config(environment)
    return json.dumps(found) if found else ""


@contextlib.contextmanager
def lost_workers_told(task: Task, folder: Path) -> Iterator[None]:
    """Turns what TensorFlow raises when another process is gone into a `UserError`."""
    if task.count == 1:
        yield
        return
    import tensorflow as tf

    gone = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.InternalError,
        tf.errors.CancelledError,
    )
    try:
        yield
    except gone as error:
        raise UserError(
            f"worker {task.index} of {task.count} lost another ({' '.join(error.message.split())[:200]}). "
            f"Start all of them again with the same command: {folder} continues from its last checkpoint"
        ) from None


class Agreed(NamedTuple):
    """What all processes do next.

    Attributes:
        signal: that one of them got; 0 where none did.
        steps: to take.
        ended: whether the chief has seen enough.
    """

    signal: int
    steps: int
    ended: bool


class Cluster:
    """What the processes of a strategy tell each other between steps.

    Every process must make the same calls in the same order; with one process they cost nothing.

    Args:
        strategy: of all of them.
        task: this one.
    """

    def __init__(self, strategy: Any, task: Task):
        self.strategy = strategy
        self.task = task
        self._sum: Any = None

    def agree(self, signal: int | None, steps: int, ended: bool) -> Agreed:
        """Stops all where one was told to; steps and end are as the chief says."""
        mine = [signal or 0, *((steps, int(ended)) if self.task.chief else (0, 0))]
        if self.task.count == 1:
            return Agreed(mine[0], steps, ended)
        found, taken, over = (int(x) for x in self._summed(mine))
        # The sum is the signal where one process got it; of several, any will do.
        other = found if found in (0, *SIGNALS) else signals.SIGTERM
        return Agreed(signal or int(other), taken, bool(over))

    def check_same(self, facts: Mapping[str, int | str]) -> None:
        """Compares what every process must have alike.

        Args:
            facts: by name; numbers below 2**53, or texts.

        Raises:
            UserError: the chief has another one.
        """
        if self.task.count == 1:
            return
        mine = [_number(fact) for fact in facts.values()]
        chiefs = self._summed(mine if self.task.chief else [0] * len(mine))
        other = [name for name, a, b in zip(facts, mine, chiefs, strict=True) if a != int(b)]
        if other:
            raise UserError(
                f"worker {self.task.index} has another {' and another '.join(other)} than the chief; "
                "start all workers with the same arguments on the same data"
            )

    def take_from_chief(self, variables: Sequence[Any]) -> None:
        """Gives Keras or TensorFlow variables the chief's values in every process."""
        if self.task.count == 1:
            return
        import tensorflow as tf

        @tf.function(autograph=False)
        def summed(values: Any) -> Any:
            def each(parts: Any) -> Any:
                here = [tf.identity(x) for x in parts]  # on this replica's device
                return tf.distribute.get_replica_context().all_reduce("sum", here)

            totals = self.strategy.run(each, (values,))
            return [self.strategy.experimental_local_results(x)[0] / self._local for x in totals]

        share = 1.0 if self.task.chief else 0.0
        # In double precision every number of a weight or a random state is exact.
        values = [share * tf.cast(tf.convert_to_tensor(v), tf.float64) for v in variables]
        for variable, value in zip(variables, summed(values), strict=True):
            variable.assign(tf.cast(value, variable.dtype))

    @property
    def _local(self) -> int:
        """Replicas of this process: each adds what the process says."""
        return len(self.strategy.extended.worker_devices)

    def _summed(self, numbers: Sequence[int]) -> Any:
        import tensorflow as tf

        if self._sum is None:

            @tf.function(autograph=False, reduce_retracing=True)
            def total(values: Any) -> Any:
                def each(part: Any) -> Any:
                    return tf.distribute.get_replica_context().all_reduce("sum", tf.identity(part))

                return self.strategy.experimental_local_results(self.strategy.run(each, (values,)))[0]

            self._sum = total
        return (self._sum(tf.constant(numbers, tf.float64)) / self._local).numpy()


def _number(fact: int | str) -> int:
    """The same for the same text in every process, and exact in double precision."""
    return (
        fact if isinstance(fact, int) else int.from_bytes(hashlib.sha256(fact.encode()).digest()[:6], "big")
    )
