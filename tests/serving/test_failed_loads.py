import pytest

from vqmm.serving.failed_loads import LONGEST_WAIT_S, FailedLoads


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def failed(now):
    return FailedLoads(5.0, lambda: now[0])


def test_each_failure_doubles_the_wait_up_to_the_longest(failed, now, tmp_path):
    assert failed.is_due(3, tmp_path)
    waits = [failed.add(3, tmp_path, "cut off") for _ in range(10)]
    assert waits[:4] == [5.0, 10.0, 20.0, 40.0] and waits[-1] == LONGEST_WAIT_S
    assert failed.reasons == {3: "cut off"}
    now[0] += LONGEST_WAIT_S - 1
    assert not failed.is_due(3, tmp_path)
    now[0] += 1
    assert failed.is_due(3, tmp_path)
    failed.forget(3)
    assert failed.reasons == {} and failed.add(3, tmp_path, "again") == 5.0


def test_files_that_arrive_or_change_make_it_due_at_once(failed, tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"a")
    failed.add(1, tmp_path, "no variables")
    assert not failed.is_due(1, tmp_path)
    (tmp_path / "variables" / "data").write_bytes(b"b")
    assert failed.is_due(1, tmp_path)
    failed.add(1, tmp_path, "cut off")
    (tmp_path / "variables" / "data").write_bytes(b"bc")
    assert failed.is_due(1, tmp_path)
