"""`/search`: what an index answers itself, and the mistakes that `vqmm query` tells."""

import itertools
import threading

import numpy as np
import pytest

from vqmm.data.file_records import file_records
from vqmm.encoding import encode_records
from vqmm.retrieval import FaissIndex, searcher
from vqmm.retrieval.model_index import add_split, index_for, query_values
from vqmm.serving.service import Service

ENDS = {"audio": "wav", "image": "png"}


def ask(served, path, **params):
    modality = {"wav": "audio", "png": "image"}[path.suffix[1:]]
    headers = {"Content-Type": f"{modality}/x"}
    return served.http.post("/search", content=path.read_bytes(), headers=headers, params=params)


@pytest.mark.parametrize("modality", ["audio", "image"])
def test_hits_are_those_of_the_index(served, modality):
    model, config, _ = served.codec
    index = FaissIndex.open(served.index)
    path = served.files / f"test5.{ENDS[modality]}"
    encoded = encode_records(model, file_records([path], modality, config.data), config, modality)
    asked = (
        ({}, 0, "any"),
        ({"label": ["1", "2"]}, 0, "any"),
        ({"label": ["0", "3"], "split": ["test"]}, 8, "image"),
        ({"modality": ["audio"]}, 3, "any"),
    )
    for query, (where, rerank, wanted) in itertools.product(("continuous", "codes", "expanded"), asked):
        kind = None if wanted == "any" else wanted
        held = index.count(kind, where)
        k = min(5, held)
        best = index.search(query_values(model, encoded, query), k, kind, where, rerank)
        conditions = [f"{key}={value}" for key, parts in where.items() for value in parts]
        params = {"k": k, "modality": wanted, "query": query, "where": conditions, "rerank": rerank}
        said = ask(served, path, **params).json()
        assert [hit["id"] for hit in said["hits"]] == [item.id for item in best.items[0]], params
        np.testing.assert_allclose([hit["score"] for hit in said["hits"]], best.scores[0], atol=1e-4)
        assert said["query"]["where"] == where and said["query"]["query"] == query
        assert said["query"]["reranked"] == (min(max(k, rerank), held) if rerank else 0)


def test_the_kinds_of_query_score_differently(served):
    scores = {
        query: [hit["score"] for hit in ask(served, served.files / "test5.wav", query=query).json()["hits"]]
        for query in ("continuous", "codes", "expanded")
    }
    assert len(set(map(tuple, scores.values()))) == 3  # else the option could do nothing


def test_probes_reach_the_lists(served, monkeypatch):
    monkeypatch.setattr(searcher, "FEW", 0)  # else so few items are scanned outright
    asked = []
    inverted = served.service.pair.items._inverted
    search = type(inverted).search
    monkeypatch.setattr(type(inverted), "search", lambda *args: asked.append(args[3]) or search(*args))
    for probes in ({}, {"probes": 2}, {"probes": 2**31 - 1}):
        assert ask(served, served.files / "test1.png", k=3, **probes).status_code == 200
    assert asked == [served.service.pair.items.probes, 2, 2**31 - 1]
    assert served.service.pair.items.probes == 1  # a request does not change the index of all


@pytest.mark.parametrize(
    "params, told",
    [
        ({"k": 0}, "k='0': Input should be greater than or equal to 1"),
        ({"k": 9}, "k=9: the index holds 8 pictures; ask for 1 to 8"),
        ({"k": 51}, "k=51; 50 is the most that this service takes"),
        ({"k": "many"}, "k='many': Input should be a valid integer"),
        ({"modality": "text"}, "modality='text': Input should be 'audio', 'image' or 'any'"),
        ({"query": "code"}, "query='code': Input should be 'continuous', 'codes' or 'expanded'"),
        ({"where": "label"}, "where 'label': write KEY=VALUE, as label=7"),
        ({"where": ["label=1", "=2"]}, "where '=2': write KEY=VALUE"),
        ({"where": "lable=1"}, "items have no 'lable' (did you mean 'label'?); they have caption, id, label"),
        ({"where": "label=none"}, "holds no pictures that meet the conditions"),
        ({"where": "label=1", "k": 3}, "k=3: the index holds 2 pictures that meet the conditions"),
        ({"where": ["label=1"] * 101}, "where"),
        ({"rerank": -1}, "rerank='-1'"),
        ({"rerank": 51}, "rerank=51; 50 is the most"),
        ({"probes": 0}, "probes='0'"),
        (
            {"wher": "label=1"},
            "wher: no such option (did you mean 'where'?); legal: k, modality, query, where",
        ),
    ],
)
def test_options_are_checked(served, params, told):
    said = ask(served, served.files / "test1.wav", **params)
    assert said.status_code == 400 and told in said.json()["error"], said.text


def test_an_index_without_vectors_and_lists_says_so(served, tiny_data, monkeypatch):
    index = index_for(served.codec.model, served.codec.config)
    add_split(index, served.codec.model, tiny_data, served.codec.config, "test")
    monkeypatch.setattr(served.service, "_pair", served.service.pair._replace(items=index))
    for option, told in (("rerank", "holds no vectors; index --vectors"), ("probes", "has no lists; index")):
        said = ask(served, served.files / "test1.wav", **{option: 2})
        assert said.status_code == 400 and told in said.json()["error"], said.text


def test_many_threads_choose_rows_at_once(served):
    index = FaissIndex.open(served.index)
    values = np.random.default_rng(0).normal(size=(1, index.slots, index.dim)).astype(np.float32)
    ids = index.search(values, index.count()).items[0]
    names = [[item.id] for item in ids if item.modality == "image"]
    wheres = [{"id": [*name, f"x{m}"]} for name in names for m in range(3)]  # more than are remembered
    failed = []

    def work(seed):
        for n in np.random.default_rng(seed).integers(0, len(wheres), 60):
            found = index.search(values, 1, "image", wheres[n]).items[0][0].id
            if found != wheres[n]["id"][0]:
                failed.append(found)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_the_openapi_shows_the_options(served):
    told = served.http.get("/openapi.json").json()["paths"]["/search"]["post"]
    options = {p["name"]: p["schema"] for p in told["parameters"]}
    assert set(options) == {"k", "modality", "query", "where", "rerank", "probes"}
    assert options["query"]["enum"] == ["continuous", "codes", "expanded"]
    assert options["where"]["type"] == "array"
    assert {"200", "400", "413", "415", "422", "429", "504"} <= set(told["responses"])
    schema = told["responses"]["422"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["error"]


def test_health_is_answered_without_a_scan_after_many_filters(served, monkeypatch):
    for number in range(12):  # more than are remembered
        ask(served, served.files / "test5.wav", where=[f"label={number}"])
    index = served.service.pair.items
    monkeypatch.setattr(searcher.Searcher, "select", None)
    said = served.http.get("/healthz").json()
    assert said["items"] == {"audio": 8, "image": 8}
    assert said["codes"] == {"in_use": len(np.unique(index.codes())), "of": len(index.codebook)}


def test_a_collapsed_index_is_logged_when_it_is_opened(served, tmp_path, caplog):
    model, config, _ = served.codec
    index = index_for(model, config)
    fine = np.zeros((3, index.slots), int) if index.holds_fine else None
    index.add(np.full((3, index.slots), index.first), ["a", "b", "c"], "image", fine=fine)
    index.save(tmp_path)
    Service(served.service.folder, tmp_path, served.service.settings).close()
    facts = [record.facts for record in caplog.records if record.getMessage() == "few codes"]
    assert len(facts) == 1 and facts[0]["reason"].startswith("codes in use: 1 of")
