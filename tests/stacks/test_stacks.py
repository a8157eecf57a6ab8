"""Files of the oldest and of the newest stack are read by the stack that runs the tests, to the same codes.

`write_files.py` wrote them. A test of the other stack's files on this one is what matters; those of its own
show that reading does not change with time.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import write_files

from vqmm.data.records import Dataset
from vqmm.encoding import Encoded, codebook_fingerprint, encode_split
from vqmm.retrieval import FaissIndex
from vqmm.tokens import load_tokens
from vqmm.training.run_folder import Run, open_run

HERE = Path(__file__).parent
MODALITIES = write_files.MODALITIES
# For processors that round otherwise: on the one that wrote the files, latents and rebuilt values of both
# stacks were equal to the bit. Codes win by `write_files.LEAST_MARGIN` or more.
LATENT_TOLERANCE = 1e-5
REBUILT_TOLERANCE = 1e-4
LOSS_TOLERANCE = 1e-4  # measured: 4e-7

both_modalities = pytest.mark.parametrize("modality", MODALITIES)


class Files(NamedTuple):
    """The files of one stack, opened by this one.

    Attributes:
        folder: that they are in.
        expected: what the other stack read out of them.
        arrays: the same, codes and values.
        run: with the model.
        dataset: of the first stored form.
        encoded: the test split by modality.
    """

    folder: Path
    expected: dict[str, Any]
    arrays: dict[str, np.ndarray]
    run: Run
    dataset: Dataset
    encoded: dict[str, Encoded]


@pytest.fixture(scope="module", params=["oldest", "newest"])
def files(request: pytest.FixtureRequest) -> Files:
    folder = HERE / request.param
    expected = json.loads((folder / "expected.json").read_text())
    with np.load(folder / "expected.npz") as arrays:
        held = dict(arrays)
    run = open_run(folder / "run")
    dataset = Dataset.open(folder / f"data-{next(iter(expected['checksums']))}")
    encoded = {m: encode_split(run.model, dataset, run.config, "test", m) for m in MODALITIES}
    return Files(folder, expected, held, run, dataset, encoded)


def test_records_decode_to_the_same_bits_in_every_stored_form(files: Files) -> None:
    for form, checksum in files.expected["checksums"].items():
        dataset = Dataset.open(files.folder / f"data-{form}")
        assert dataset.checksum == checksum
        assert write_files.decoded_sha256(dataset) == files.expected["decoded_sha256"][form]
    assert len({str(hashes) for hashes in files.expected["decoded_sha256"].values()}) == 1


def test_the_fingerprint_of_the_model_is_the_same(files: Files) -> None:
    assert codebook_fingerprint(files.run.model) == files.expected["fingerprint"]


@both_modalities
def test_the_model_encodes_the_shards_to_the_same_codes(files: Files, modality: str) -> None:
    found = files.encoded[modality]
    np.testing.assert_allclose(
        found.embeddings, files.arrays[f"{modality}.embeddings"], rtol=0, atol=LATENT_TOLERANCE
    )
    for kind in ("shared", "private", "fine"):
        np.testing.assert_array_equal(getattr(found, kind), files.arrays[f"{modality}.{kind}"], kind)


@both_modalities
def test_no_code_hangs_on_rounding(files: Files, modality: str) -> None:
    items = write_files.items_of_test(files.dataset, files.run.config, modality)
    margin = write_files.smallest_margin(files.run.model, items, modality)
    assert margin > 0.9 * write_files.LEAST_MARGIN > LATENT_TOLERANCE
    assert margin == pytest.approx(files.expected["margins"][modality], abs=LATENT_TOLERANCE)


@both_modalities
def test_the_model_rebuilds_the_same_values(files: Files, modality: str) -> None:
    items = write_files.items_of_test(files.dataset, files.run.config, modality)
    rebuilt = np.asarray(files.run.model.reconstruct(items, modality))
    np.testing.assert_allclose(rebuilt, files.arrays[f"{modality}.rebuilt"], rtol=0, atol=REBUILT_TOLERANCE)


@both_modalities
def test_token_files_hold_the_same_codes(files: Files, modality: str) -> None:
    tokens = load_tokens(
        files.folder / "tokens" / f"{modality}-test.npz", codebook_fingerprint(files.run.model)
    )
    np.testing.assert_array_equal(tokens.shared, files.encoded[modality].shared)
    np.testing.assert_array_equal(tokens.private, files.encoded[modality].private)
    assert tokens.ids.tolist() == files.encoded[modality].ids.tolist()
    assert tokens.label_names == files.dataset.labels


@both_modalities
def test_a_query_gets_the_same_ranking_from_the_index(files: Files, modality: str) -> None:
    index = FaissIndex.open(files.folder / "index", codebook_fingerprint(files.run.model))
    hits = write_files.search(index, files.run.model, files.encoded[modality])
    expected = files.expected["hits"][modality]
    assert hits["ids"] == expected["ids"]
    np.testing.assert_allclose(hits["scores"], expected["scores"], rtol=0, atol=LATENT_TOLERANCE)


def test_a_run_is_continued_as_on_the_stack_that_began_it(files: Files, tmp_path: Path) -> None:
    shutil.copytree(files.folder / "run", tmp_path / "begun")
    loss = write_files.continued_loss(tmp_path / "begun", files.dataset, tmp_path / "continued")
    assert loss == pytest.approx(files.expected["continued_loss"], rel=LOSS_TOLERANCE)


def test_both_stacks_prepared_the_same_bytes() -> None:
    oldest, newest = (
        json.loads((HERE / name / "expected.json").read_text()) for name in ("oldest", "newest")
    )
    assert oldest["versions"]["tensorflow"].startswith("2.17.") and oldest["versions"]["numpy"].startswith(
        "1.26."
    )
    assert newest["versions"]["tensorflow"] > oldest["versions"]["tensorflow"]
    assert newest["versions"]["numpy"].startswith("2.")
    assert oldest["checksums"] == newest["checksums"]
    assert oldest["decoded_sha256"] == newest["decoded_sha256"]
