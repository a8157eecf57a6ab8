import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vqmm.encoding import encode_split
from vqmm.errors import UserError
from vqmm.models import build_model
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.model_index import add_split, index_for, query_values
from vqmm.training.run_folder import open_run


@pytest.fixture(scope="module")
def opened(tiny_run):
    return open_run(tiny_run)


@pytest.fixture(scope="module")
def made(opened, tiny_data, tmp_path_factory):
    index = index_for(opened.model, opened.config)
    add_split(index, opened.model, tiny_data, opened.config, "test")
    folder = tmp_path_factory.mktemp("made") / "index"
    index.save(folder)
    return folder


@pytest.fixture
def index(made, tmp_path):
    """The index of the test split, as the verb makes it."""
    return Path(shutil.copytree(made, tmp_path / "index"))


def table_of(model):
    """The four shared codes at unit length."""
    table = np.asarray(model.quantizer.codebook)[:4]
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def values_of(model, encoded):
    """What the codes of items stand for: shared and fine vectors together."""
    tables = np.asarray(model.fine.tables)
    return table_of(model)[encoded.shared] + tables[np.arange(tables.shape[0]), encoded.fine]


def ask(verb, tiny_run, index, *args):
    said = verb("query", "--run", tiny_run, "--index", index, *args, "--json")
    assert said.status == 0, said
    return json.loads(said.out)


@pytest.mark.parametrize("asked, found", [("audio", "image"), ("image", "audio")])
@pytest.mark.parametrize("query", ["continuous", "codes"])
def test_the_ranking_is_that_of_brute_force(verb, tiny_run, tiny_data, opened, index, asked, found, query):
    n = 3
    path = tiny_data.folder.parent / f"test{n}.{'wav' if asked == 'audio' else 'png'}"
    answer = ask(verb, tiny_run, index, f"--{asked}", path, "--k", 8, "--query", query)
    queries = encode_split(opened.model, tiny_data, opened.config, "test", asked)
    items = encode_split(opened.model, tiny_data, opened.config, "test", found)
    query = queries.embeddings[n] if query == "continuous" else table_of(opened.model)[queries.shared[n]]
    expected = np.einsum("sd,nsd->n", query, values_of(opened.model, items))
    assert len(np.unique(items.shared, axis=0)) > 1  # else any ranking would do
    scores = dict(zip(items.ids, expected, strict=True))
    hits = answer["hits"]
    best = -np.sort(-expected)
    assert [hit["rank"] for hit in hits] == [1 + int((best > score + 1e-5).sum()) for score in best]
    assert {hit["id"] for hit in hits} == set(scores)
    np.testing.assert_allclose([hit["score"] for hit in hits], -np.sort(-expected), atol=1e-4)
    np.testing.assert_allclose([hit["score"] for hit in hits], [scores[h["id"]] for h in hits], atol=1e-4)
    labels = dict(zip(items.ids, items.labels, strict=True))
    assert all(hit["modality"] == found and hit["label"] == str(labels[hit["id"]]) for hit in hits)
    assert answer["query"]["codes"] == queries.shared[n].tolist()


def test_one_modality_or_both_are_searched(verb, tiny_run, tiny_data, opened, index):
    clip = tiny_data.folder.parent / "test3.wav"
    same = ask(verb, tiny_run, index, "--audio", clip, "--modality", "audio", "--query", "codes", "--k", 8)
    assert {hit["modality"] for hit in same["hits"]} == {"audio"}
    # Shared codes against all codes: the same clip has them, so that its fine codes alone are added to 2.
    items = encode_split(opened.model, tiny_data, opened.config, "test", "audio")
    query = table_of(opened.model)[items.shared[3]]
    np.testing.assert_allclose(np.square(query).sum(), 2.0, atol=1e-5)
    scores = dict(zip(items.ids, np.einsum("sd,nsd->n", query, values_of(opened.model, items)), strict=True))
    assert [hit["score"] for hit in same["hits"]] == pytest.approx(sorted(scores.values())[::-1], abs=1e-5)
    assert all(hit["score"] == pytest.approx(scores[hit["id"]], abs=1e-5) for hit in same["hits"])
    both = ask(verb, tiny_run, index, "--audio", clip, "--modality", "any", "--k", 16)
    assert {hit["modality"] for hit in both["hits"]} == {"audio", "image"}
    assert len(ask(verb, tiny_run, index, "--audio", clip)["hits"]) == 8  # 10, or all if fewer


def test_a_table_is_shown(verb, tiny_run, tiny_data, index):
    scan = tiny_data.folder.parent / "test0.png"
    said = verb("query", "--run", tiny_run, "--index", index, "--image", scan, "--k", 3)
    assert said.status == 0
    title, *table = said.out.splitlines()
    assert title == f"{scan}: recordings (best score about 2)"
    assert all(word in table[1] for word in ("rank", "id", "label", "score"))
    ranks = [hit["rank"] for hit in ask(verb, tiny_run, index, "--image", scan, "--k", 3)["hits"]]
    assert [row.split()[1] for row in table[3:6]] == [str(rank) for rank in ranks]


def test_hits_are_saved_as_they_are_stored(verb, tiny_run, tiny_data, index, tmp_path):
    clip = tiny_data.folder.parent / "test1.wav"
    more = ("--k", 2, "--data", tiny_data.folder, "--save", tmp_path / "hits")
    hits = ask(verb, tiny_run, index, "--audio", clip, *more)["hits"]
    pictures = tiny_data.split("test").pictures
    for hit in hits:
        row = pictures.ids.tolist().index(hit["id"])
        assert Path(hit["saved"]).read_bytes() == pictures.data[row]
    sounds = ask(verb, tiny_run, index, "--audio", clip, "--modality", "audio", *more)["hits"]
    assert soundfile.info(sounds[0]["saved"]).samplerate == 2000


def test_a_second_call_adds_what_is_new(verb, tiny_run, tiny_data, made, tmp_path):
    index = tmp_path / "index"
    base = ("index", "--run", tiny_run, "--data", tiny_data.folder, "--out", index, "--json")
    first = json.loads(verb(*base, "--split", "test").out)
    assert first["added"] == first["items"] == {"audio": 8, "image": 8} and first["bytes_per_item"] == 4
    np.testing.assert_array_equal(FaissIndex.open(index).codes(), FaissIndex.open(made).codes())
    again = json.loads(verb(*base, "--split", "test").out)
    assert again["added"] == {"audio": 0, "image": 0} and again["items"] == {"audio": 8, "image": 8}
    everything = json.loads(verb(*base).out)
    assert everything["added"] == {"audio": 32, "image": 32}
    assert everything["items"] == {"audio": 40, "image": 40}
    fresh = json.loads(verb(*base, "--split", "test", "--overwrite").out)
    assert fresh["items"] == {"audio": 8, "image": 8}
    assert FaissIndex.open(index).generation == 4


def test_an_expanded_query_asks_for_neighbouring_codes(verb, tiny_run, tiny_data, opened, index):
    clip = tiny_data.folder.parent / "test3.wav"
    answer = ask(verb, tiny_run, index, "--audio", clip, "--k", 8, "--query", "expanded")
    encoded = encode_split(opened.model, tiny_data, opened.config, "test", "audio")
    pictures = encode_split(opened.model, tiny_data, opened.config, "test", "image")
    table = table_of(opened.model)
    soft = np.exp(table[encoded.shared[3]] @ table.T / 0.1) @ table  # four codes: all are neighbours
    soft /= np.linalg.norm(soft, axis=1, keepdims=True)
    expected = np.einsum("sd,nsd->n", soft, values_of(opened.model, pictures))
    np.testing.assert_allclose([hit["score"] for hit in answer["hits"]], -np.sort(-expected), atol=1e-4)


def test_hits_meet_the_conditions(verb, tiny_run, tiny_data, index):
    clip = ("--audio", tiny_data.folder.parent / "test3.wav")
    some = ask(verb, tiny_run, index, *clip, "--where", "label=1", "label=2", "--where", "split=test")
    assert sorted(hit["label"] for hit in some["hits"]) == ["1", "1", "2", "2"]
    assert some["query"]["where"] == {"label": ["1", "2"], "split": ["test"]}

    def refusal(*args):
        return verb("query", "--run", tiny_run, "--index", index, *clip, *args).refusal()

    assert "did you mean 'label'" in refusal("--where", "lable=1")
    assert "write KEY=VALUE" in refusal("--where", "label")
    assert "holds no pictures that meet the conditions" in refusal("--where", "label=none")
    assert "holds 2 pictures that meet" in refusal("--where", "label=1", "--k", 3)


def test_vectors_beside_the_codes_score_the_first_hits(verb, tiny_run, tiny_data, opened, index, tmp_path):
    base = ("index", "--run", tiny_run, "--data", tiny_data.folder, "--split", "test", "--json")
    facts = json.loads(verb(*base, "--out", tmp_path / "v", "--vectors", "--lists", 3).out)
    assert facts["vectors"] and facts["lists"] == 3 and facts["bytes_per_item"] == 4 + 2 * 2 * 8
    clip = ("--audio", tiny_data.folder.parent / "test3.wav")
    answer = ask(verb, tiny_run, tmp_path / "v", *clip, "--k", 8, "--rerank", 8, "--probes", 1)
    assert answer["query"]["reranked"] == 8
    query = encode_split(opened.model, tiny_data, opened.config, "test", "audio").embeddings[3]
    items = encode_split(opened.model, tiny_data, opened.config, "test", "image")
    scores = dict(zip(items.ids, np.einsum("sd,nsd->n", query, items.embeddings), strict=True))
    np.testing.assert_allclose(
        [hit["score"] for hit in answer["hits"]], -np.sort(-np.array(list(scores.values()))), atol=5e-3
    )
    assert all(hit["score"] == pytest.approx(scores[hit["id"]], abs=5e-3) for hit in answer["hits"])

    def refusal(*args):
        return verb("query", "--run", tiny_run, "--index", index, *clip, *args).refusal()

    assert "holds no vectors; index --vectors" in refusal("--rerank", 5)
    assert "has no lists; index --lists N" in refusal("--probes", 2)
    assert "--rerank -1" in refusal("--rerank", -1)
    assert "holds no vectors; make it anew" in verb(*base, "--out", index, "--vectors").refusal()
    grown = FaissIndex.open(tmp_path / "v")  # an index with vectors goes on having them
    added = add_split(grown, opened.model, tiny_data, opened.config, "validation")
    assert added == {"audio": 8, "image": 8} and len(grown.codes()) == len(grown._vectors) == 32


def test_items_are_removed_without_the_model(verb, tiny_run, tiny_data, index):
    split = tiny_data.split("test")
    names = [split.recordings.ids[0], split.pictures.ids[3]]
    base = ("index", "--out", index)
    both = {*split.recordings.ids.tolist(), *split.pictures.ids.tolist()}
    facts = json.loads(verb(*base, "--remove", *names, "--json").out)
    held = [list(part.ids).count(name) for name in names for part in split]
    assert facts["removed"] == sum(held) and sum(facts["items"].values()) == 16 - sum(held)
    clip = tiny_data.folder.parent / "test3.wav"
    k = sum(facts["items"].values())
    hits = ask(verb, tiny_run, index, "--audio", clip, "--modality", "any", "--k", k)["hits"]
    assert {hit["id"] for hit in hits} == both - set(names)
    said = verb(*base, "--compact", "--lists", 2)
    assert said.status == 0 and "2 lists" in said.out and "bytes an item" in said.out
    assert len(FaissIndex.open(index).codes()) == k
    assert "nothing is removed" in verb(*base, "--remove", *names).refusal()
    assert "nothing is removed" in verb(*base, "--remove", hits[0]["id"], "--split", "train").refusal()
    assert "nothing to do" in verb(*base).refusal()
    assert "--lists -1" in verb(*base, "--lists", -1).refusal()
    assert "go together" in verb(*base, "--run", tiny_run).refusal()
    assert "leave out --run" in verb(*base, "--run", tiny_run, "--compact").refusal()
    assert "make an index" in verb(*base, "--compact", "--vectors").refusal()
    assert "holds no index" in verb("index", "--out", index / "none", "--compact").refusal()


def test_mistakes_are_told_in_one_line(verb, tiny_run, tiny_data, index, opened, tmp_path):
    folder = tiny_data.folder.parent
    clip = ("--audio", folder / "test0.wav")
    (tmp_path / "bad.wav").write_bytes((folder / "test0.wav").read_bytes()[:200])

    def refusal(*args, run=tiny_run, at=index):
        return verb("query", "--run", run, "--index", at, *args).refusal()

    assert "k=9" in (said := refusal(*clip, "--k", 9)) and "holds 8 pictures" in said
    assert "--k 0" in refusal(*clip, "--k", 0)
    assert "no run folder" in refusal(*clip, run=tmp_path / "none")
    assert "holds no index" in refusal(*clip, at=tmp_path / "none")
    assert "bad.wav: is truncated" in refusal("--audio", tmp_path / "bad.wav")
    assert "no such file" in refusal("--image", tmp_path / "none.png")
    assert "go together" in refusal(*clip, "--save", tmp_path / "hits")
    run, data = ("--run", tiny_run), ("--data", tiny_data.folder)
    assert "no dataset.json" in verb("index", *run, "--data", tmp_path, "--out", tmp_path / "i").refusal()
    assert "is a file" in verb("index", *run, *data, "--out", tmp_path / "bad.wav").refusal()
    other = FaissIndex(np.eye(4, 8), 2, "0" * 16)
    other.add([[0, 0]], ["x"], "image")
    other.save(tmp_path / "other")
    mine = index_for(opened.model, opened.config).fingerprint
    assert "0" * 16 in (said := refusal(*clip, at=tmp_path / "other")) and mine in said
    said = verb("index", *run, *data, "--out", tmp_path / "other").refusal()
    assert "0" * 16 in said and mine in said


def test_an_index_without_the_modality_is_told(verb, tiny_run, tiny_data, opened, tmp_path):
    index = index_for(opened.model, opened.config)
    index.add([[0, 1]], ["x"], "audio", fine=[[0, 0]])
    index.save(tmp_path / "i")
    clip = tiny_data.folder.parent / "test0.wav"
    said = verb("query", "--run", tiny_run, "--index", tmp_path / "i", "--audio", clip)
    assert "holds no pictures" in said.refusal()


def test_the_grid_layout_is_refused_with_the_remedy(tiny_config):
    spec = tiny_config.model.model_copy(update={"layout": "grid"})
    config = tiny_config.model_copy(update={"model": spec})
    with pytest.raises(UserError, match="layout=grid.*model.layout=slots"):
        index_for(build_model(config), config)


def test_an_unknown_query_is_refused(opened, tiny_data):
    encoded = encode_split(opened.model, tiny_data, opened.config, "test", "image")
    with pytest.raises(UserError, match="continuous, codes, expanded"):
        query_values(opened.model, encoded, "exact")


def test_the_commands_work_in_processes_of_their_own(shell, tiny_run, tiny_data, index):
    run, clip = ("--run", tiny_run), tiny_data.folder.parent / "test2.wav"
    said = shell("query", *run, "--index", index, "--audio", clip, "--k", 3, "--json")
    assert said.status == 0 and len(json.loads(said.out)["hits"]) == 3 and not said.err
    assert "k=3000" in shell("query", *run, "--index", index, "--audio", clip, "--k", 3000).refusal()
