import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vqmm.encoding import encode_split
from vqmm.errors import UserError
from vqmm.models import build_model
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.model_index import index_for, query_values
from vqmm.training.run_folder import open_run


@pytest.fixture(scope="module")
def opened(tiny_run):
    return open_run(tiny_run)


@pytest.fixture
def index(verb, tiny_run, tiny_data, tmp_path):
    folder = tmp_path / "index"
    said = verb(
        "index", "--run", tiny_run, "--data", tiny_data.folder, "--split", "test", "--out", folder, "--json"
    )
    assert said.status == 0, said
    facts = json.loads(said.out)
    assert facts["added"] == facts["items"] == {"audio": 8, "image": 8} and facts["bytes_per_item"] == 2
    return folder


def ask(verb, tiny_run, index, *args):
    said = verb("query", "--run", tiny_run, "--index", index, *args, "--json")
    assert said.status == 0, said
    return json.loads(said.out)


@pytest.mark.parametrize("asked, found", [("audio", "image"), ("image", "audio")])
@pytest.mark.parametrize("score", ["asymmetric", "code"])
def test_the_ranking_is_that_of_brute_force(verb, tiny_run, tiny_data, opened, index, asked, found, score):
    n = 3
    path = tiny_data.folder.parent / f"test{n}.{'wav' if asked == 'audio' else 'png'}"
    answer = ask(verb, tiny_run, index, f"--{asked}", path, "--k", 8, "--score", score)
    queries = encode_split(opened.model, tiny_data, opened.config, "test", asked)
    items = encode_split(opened.model, tiny_data, opened.config, "test", found)
    table = np.asarray(opened.model.quantizer.codebook)[:4]
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    query = queries.embeddings[n] if score == "asymmetric" else table[queries.shared[n]]
    expected = np.einsum("sd,nsd->n", query, table[items.shared])
    assert len(np.unique(items.shared, axis=0)) > 1  # else any ranking would do
    scores = dict(zip(items.ids, expected, strict=True))
    hits = answer["hits"]
    assert [hit["rank"] for hit in hits] == list(range(1, 9))
    assert {hit["id"] for hit in hits} == set(scores)
    np.testing.assert_allclose([hit["score"] for hit in hits], -np.sort(-expected), atol=1e-4)
    np.testing.assert_allclose([hit["score"] for hit in hits], [scores[h["id"]] for h in hits], atol=1e-4)
    labels = dict(zip(items.ids, items.labels, strict=True))
    assert all(hit["modality"] == found and hit["label"] == str(labels[hit["id"]]) for hit in hits)
    assert answer["query"]["codes"] == queries.shared[n].tolist()


def test_one_modality_or_both_are_searched(verb, tiny_run, tiny_data, index):
    clip = tiny_data.folder.parent / "test3.wav"
    same = ask(verb, tiny_run, index, "--audio", clip, "--modality", "audio", "--score", "code", "--k", 8)
    assert {hit["modality"] for hit in same["hits"]} == {"audio"}
    # Codes against codes of the same clip: the best score there is.
    assert same["hits"][0]["score"] == pytest.approx(2.0, abs=1e-5)
    both = ask(verb, tiny_run, index, "--audio", clip, "--modality", "any", "--k", 16)
    assert {hit["modality"] for hit in both["hits"]} == {"audio", "image"}
    assert len(ask(verb, tiny_run, index, "--audio", clip)["hits"]) == 8  # 10, or all if fewer


def test_a_table_is_shown(verb, tiny_run, tiny_data, index):
    scan = tiny_data.folder.parent / "test0.png"
    said = verb("query", "--run", tiny_run, "--index", index, "--image", scan, "--k", 3)
    assert said.status == 0
    title, *table = said.out.splitlines()
    assert title == f"{scan}: recordings (score of at most 2)"
    assert all(word in table[1] for word in ("rank", "id", "label", "score"))
    assert [row.split()[1] for row in table[3:6]] == ["1", "2", "3"]


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


def test_a_second_call_adds_what_is_new(verb, tiny_run, tiny_data, index):
    base = ("index", "--run", tiny_run, "--data", tiny_data.folder, "--out", index, "--json")
    again = json.loads(verb(*base, "--split", "test").out)
    assert again["added"] == {"audio": 0, "image": 0} and again["items"] == {"audio": 8, "image": 8}
    everything = json.loads(verb(*base).out)
    assert everything["added"] == {"audio": 32, "image": 32}
    assert everything["items"] == {"audio": 40, "image": 40}
    fresh = json.loads(verb(*base, "--split", "test", "--overwrite").out)
    assert fresh["items"] == {"audio": 8, "image": 8}
    assert FaissIndex.open(index).generation == 4


def test_mistakes_are_told_in_one_line(verb, tiny_run, tiny_data, index, opened, tmp_path):
    folder = tiny_data.folder.parent
    clip = ("--audio", folder / "test0.wav")
    (tmp_path / "bad.wav").write_bytes((folder / "test0.wav").read_bytes()[:200])

    def refusal(*args, run=tiny_run, at=index):
        return verb("query", "--run", run, "--index", at, *args).refusal()

    assert "--k 9" in (said := refusal(*clip, "--k", 9)) and "holds 8 pictures" in said
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
    index.add([[0, 1]], ["x"], "audio")
    index.save(tmp_path / "i")
    clip = tiny_data.folder.parent / "test0.wav"
    said = verb("query", "--run", tiny_run, "--index", tmp_path / "i", "--audio", clip)
    assert "holds no pictures" in said.refusal()


def test_the_grid_layout_is_refused_with_the_remedy(tiny_config):
    spec = tiny_config.model.model_copy(update={"layout": "grid"})
    config = tiny_config.model_copy(update={"model": spec})
    with pytest.raises(UserError, match="layout=grid.*model.layout=slots"):
        index_for(build_model(config), config)


def test_an_unknown_score_is_refused(opened, tiny_data):
    encoded = encode_split(opened.model, tiny_data, opened.config, "test", "image")
    with pytest.raises(UserError, match="asymmetric, code"):
        query_values(opened.model, encoded, "exact")


def test_the_commands_work_in_processes_of_their_own(shell, tiny_run, tiny_data, index):
    run, clip = ("--run", tiny_run), tiny_data.folder.parent / "test2.wav"
    said = shell("query", *run, "--index", index, "--audio", clip, "--k", 3, "--json")
    assert said.status == 0 and len(json.loads(said.out)["hits"]) == 3 and not said.err
    assert "--k 3000" in shell("query", *run, "--index", index, "--audio", clip, "--k", 3000).refusal()
