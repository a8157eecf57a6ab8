import logging
import shutil
import threading
from unittest import mock

import numpy as np
import pytest
from in_process import client_of

from vqmm.errors import UserError
from vqmm.retrieval import FaissIndex
from vqmm.serving.app import create_app
from vqmm.serving.service import Service
from vqmm.serving.settings import Settings


@pytest.fixture(scope="module")
def folders(served, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reloaded")
    shutil.copytree(served.export, folder / "export")
    shutil.copytree(served.index, folder / "index")
    return folder


@pytest.fixture(scope="module")
def service(folders):
    settings = Settings(batch=2, queue=2, rows=2, poll_s=60, timeout_s=30)
    service = Service(folders / "export", folders / "index", settings)
    yield service
    service.close()


def put(folder, version):
    """As an export does: whole, by one move."""
    part = shutil.copytree(folder / "1", folder / f".{version}.part")
    part.rename(folder / str(version))


def test_a_reload_under_load_loses_nothing_and_a_full_queue_says_so(service, served, folders):
    data = [(served.files / f"test{n}.png").read_bytes() for n in range(8)]
    headers = {"Content-Type": "image/png"}
    expected = [served.http.post("/encode", content=d, headers=headers).json()["shared"] for d in data]
    assert len(set(map(tuple, expected))) > 1
    answers, stop = [], threading.Event()
    old = service.pair.model

    def load(http, n):
        while not stop.is_set():
            said = http.post("/encode", content=data[n], headers=headers)
            answers.append((n, said.status_code, said.headers.get("retry-after"), said.json()))

    with client_of(create_app(service)) as http:
        threads = [threading.Thread(target=load, args=(http, n)) for n in range(8)]
        for thread in threads:
            thread.start()
        put(folders / "export" / "saved_model", 2)
        assert service.poll()
        after = len(answers)
        while len(answers) < after + 50:
            stop.wait(0.01)
        stop.set()
        for thread in threads:
            thread.join()
        states = http.get("/v1/models/vqmm").json()["model_version_status"]
    assert {status for _, status, _, _ in answers} == {200, 429}
    assert all(again == "1" for _, status, again, _ in answers if status == 429)
    good = [(n, said) for n, status, _, said in answers if status == 200]
    assert all(said["shared"] == expected[n] for n, said in good)
    assert {said["version"] for _, said in good} == {1, 2} and states[0]["version"] == "2"
    assert not any(thread.is_alive() for b in old._batchers.values() for thread in [b._thread])


def test_a_version_that_cannot_be_loaded_is_left_alone(service, folders):
    place = folders / "export" / "saved_model" / "3"
    place.mkdir()
    (place / "saved_model.pb").write_bytes(b"no model")
    assert not service.poll() and not service.poll()
    with client_of(create_app(service)) as http:
        states = http.get("/v1/models/vqmm").json()["model_version_status"]
    assert [(s["version"], s["state"]) for s in states] == [("2", "AVAILABLE"), ("3", "END")]


@pytest.fixture
def half(served, tmp_path):
    """An export of version 1, and a version 2 whose weights have not arrived."""
    shutil.copytree(served.export, tmp_path / "export")
    place = tmp_path / "export" / "saved_model"
    shutil.copytree(place / "1", place / "2", ignore=shutil.ignore_patterns("variables.data*"))
    return place


def test_a_half_copied_version_is_taken_when_the_rest_is_there(half, caplog):
    logging.getLogger("vqmm.serving").propagate = True
    service = Service(half, None, Settings(batch=1, poll_s=60))
    try:
        assert service.pair.model.version == 1  # the newest that can be loaded
        assert not service.poll() and list(service.failed.reasons) == [2]
        facts = [record.facts for record in caplog.records if "again_in_s" in getattr(record, "facts", {})]
        assert len(facts) == 1 and facts[0]["version"] == 2 and facts[0]["again_in_s"] == 60
        for path in (half / "1" / "variables").glob("variables.data*"):
            shutil.copy(path, half / "2" / "variables")
        assert service.poll() and service.pair.model.version == 2
        assert service.failed.reasons == {}
    finally:
        service.close()


def test_a_version_that_failed_for_a_moment_is_tried_again_after_a_while(half, served, monkeypatch):
    shutil.rmtree(half / "2")
    service = Service(half, None, Settings(batch=1, poll_s=60))
    try:
        put(half, 2)
        now = [0.0]
        monkeypatch.setattr(service.failed, "_clock", lambda: now[0])
        with monkeypatch.context() as patch:
            patch.setattr(
                "vqmm.serving.service.ServedModel", mock.Mock(side_effect=OSError(24, "Too many open files"))
            )
            assert not service.poll()
            assert not service.poll() and service.failed.reasons == {2: "[Errno 24] Too many open files"}
        assert not service.poll()
        now[0] = 60.0
        assert service.poll() and service.pair.model.version == 2
    finally:
        service.close()


def test_a_changed_index_is_taken_and_one_of_another_codebook_is_not(service, folders):
    index = FaissIndex.open(folders / "index")
    gone = [index.search(np.ones((1, index.slots, index.dim)), 1, "image").items[0][0].id]
    index.remove(gone, "image")
    index.save(folders / "index")
    assert service.poll() and service.pair.items.count("image") == 7
    other = FaissIndex(index.codebook, index.slots, "another", index.first)
    other.add(index.first + np.zeros((1, index.slots), int), ["x"], "image")
    other.generation = index.generation
    other.save(folders / "index")
    assert not service.poll() and service.pair.items.count("image") == 7
    shutil.rmtree(folders / "export" / "saved_model" / "3", ignore_errors=True)
    with pytest.raises(UserError, match="is of codebook another"):
        Service(folders / "export", folders / "index")


def test_what_is_missing_is_told(folders, tmp_path):
    with pytest.raises(UserError, match="holds no SavedModel; vqmm export"):
        Service(tmp_path, None)
    with pytest.raises(UserError, match="nowhere"):
        Service(folders / "export", tmp_path / "nowhere")
