import threading

import numpy as np
import pytest

from vqmm.serving.batcher import Batcher
from vqmm.serving.refused import Refused
from vqmm.serving.settings import Settings


class Held:
    """Doubles, when it is let; refuses -1."""

    def __init__(self):
        self.go, self.running, self.batches = threading.Event(), threading.Event(), []

    def __call__(self, inputs):
        self.running.set()
        assert self.go.wait(10)
        self.batches.append(inputs["x"].tolist())
        if -1 in inputs["x"]:
            raise ValueError("refused")
        return {"y": 2 * inputs["x"]}


def rows(*values):
    return {"x": np.array(values)}


@pytest.fixture
def held():
    return Held()


@pytest.fixture
def batcher(held):
    batcher = Batcher(held, Settings(batch=4, queue=4, wait_ms=0))
    yield batcher
    held.go.set()
    batcher.close()


def test_what_waits_is_run_together_and_each_gets_its_own(batcher, held):
    futures = [batcher.submit(rows(1))]
    assert held.running.wait(10)
    futures += [batcher.submit(rows(2)), batcher.submit(rows(3, 4)), batcher.submit(rows(5))]
    assert batcher.waiting == 4
    held.go.set()
    assert [f.result(10)["y"].tolist() for f in futures] == [[2], [4], [6, 8], [10]]
    assert held.batches == [[1], [2, 3, 4, 5]]


def test_a_full_queue_refuses_and_a_large_request_may_stand_alone(batcher, held):
    first = batcher.submit(rows(0))
    assert held.running.wait(10)
    large = batcher.submit(rows(*range(9)))  # more than the queue holds, but nothing waits
    with pytest.raises(Refused) as refusal:
        batcher.submit(rows(1))
    assert refusal.value.status == 429 and refusal.value.retry_after == 1
    held.go.set()
    assert first.result(10) and len(large.result(10)["y"]) == 9


def test_one_bad_request_fails_alone_and_one_that_nobody_waits_for_is_not_run(batcher, held):
    batcher.submit(rows(0))
    assert held.running.wait(10)
    good, bad, gone, also = (batcher.submit(rows(n)) for n in (1, -1, 7, 2))
    assert gone.cancel()
    held.go.set()
    assert good.result(10)["y"] == [2] and also.result(10)["y"] == [4]
    with pytest.raises(ValueError, match="refused"):
        bad.result(10)
    assert not any(7 in batch for batch in held.batches)


def test_a_large_request_is_run_in_parts_and_stops_when_nobody_waits_for_it(batcher, held):
    held.go.set()
    whole = batcher.submit(rows(*range(10)))
    assert whole.result(10)["y"].tolist() == [2 * n for n in range(10)]
    assert [len(batch) for batch in held.batches] == [4, 4, 2]
    held.go.clear()
    held.running.clear()
    held.batches.clear()
    large = batcher.submit(rows(*range(10)))
    assert held.running.wait(10)
    assert large.cancel()
    after = batcher.submit(rows(7))
    held.go.set()
    assert after.result(10)["y"] == [14]
    assert held.batches == [[0, 1, 2, 3], [7]]  # the call that ran, and none of the others


def test_rows_that_nobody_waits_for_leave_room_in_the_queue(batcher, held):
    batcher.submit(rows(0))
    assert held.running.wait(10)
    gone = batcher.submit(rows(1, 2, 3, 4))
    with pytest.raises(Refused):
        batcher.submit(rows(5))
    assert gone.cancel()
    next_one = batcher.submit(rows(5))
    held.go.set()
    assert next_one.result(10)["y"] == [10]


def test_requests_that_cannot_be_joined_are_run_alone(batcher, held):
    batcher.submit(rows(0))
    assert held.running.wait(10)
    wide, narrow = batcher.submit({"x": np.array([[1, 2]])}), batcher.submit(rows(3))
    held.go.set()
    assert wide.result(10)["y"].tolist() == [[2, 4]] and narrow.result(10)["y"].tolist() == [6]


def test_closing_answers_what_is_queued_and_takes_no_more(held):
    batcher = Batcher(held, Settings(batch=1, wait_ms=60_000))
    futures = [batcher.submit(rows(n)) for n in range(3)]
    held.go.set()
    batcher.close()
    assert [f.result(0)["y"].tolist() for f in futures] == [[0], [2], [4]]
    with pytest.raises(Refused) as refusal:
        batcher.submit(rows(1))
    assert refusal.value.status == 503


def test_the_first_waits_for_others(held):
    held.go.set()
    batcher = Batcher(held, Settings(batch=2, wait_ms=60_000))
    one, two = batcher.submit(rows(1)), batcher.submit(rows(2))
    assert one.result(10)["y"] == [2] and two.result(10)["y"] == [4]
    assert held.batches == [[1, 2]]
    batcher.close()
