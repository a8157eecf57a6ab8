"""A run and its index, made without training, and what explores them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from codec_of import codec_of

from vqmm.app.explorer import Explorer
from vqmm.config import Config, save_config
from vqmm.data.records import Dataset
from vqmm.retrieval import FaissIndex
from vqmm.retrieval.model_index import add_split, index_for
from vqmm.serving.settings import Settings
from vqmm.training.model_file import save_model
from vqmm.training.prior_loop import build_prior
from vqmm.training.run_folder import Run, open_run

LIMITS = Settings(seconds=3, pixels=10_000)


class Made(NamedTuple):
    """Folders, and the files that the data was made from."""

    run: Path
    index: Path
    prior: Path
    data: Path
    files: Path


@pytest.fixture(scope="session")
def made(tiny_config: Config, tiny_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Made:
    codec = codec_of(tiny_config, tiny_data)
    folder = tmp_path_factory.mktemp("app")
    (folder / "run").mkdir()
    save_config(codec.config, folder / "run" / "config.yaml")
    save_model(codec.model, folder / "run" / "model.keras")
    index = index_for(codec.model, codec.config)
    add_split(index, codec.model, tiny_data, codec.config, "test")
    index.save(folder / "index")
    return Made(folder / "run", folder / "index", folder / "prior", tiny_data.folder, tiny_data.folder.parent)


@pytest.fixture(scope="session")
def run(made: Made) -> Run:
    return open_run(made.run, coded=True)


@pytest.fixture(scope="session")
def prior(made: Made, run: Run, tiny_data: Dataset) -> Path:
    """The run of a prior that has learned nothing."""
    made.prior.mkdir()
    spec = {"tokenizer": str(made.run), "dim": 8, "depth": 1, "heads": 2, "sampling": {"steps": 2}}
    parts = json.loads(run.config.model_dump_json()) | {"name": "prior", "prior": spec}
    (made.prior / "config.yaml").write_text(yaml.safe_dump(parts))
    save_model(build_prior(Config.model_validate(parts), run, tiny_data.labels), made.prior / "model.keras")
    return made.prior


@pytest.fixture(scope="session")
def explorer(made: Made, run: Run, tiny_data: Dataset) -> Explorer:
    return Explorer(run, FaissIndex.open(made.index), tiny_data, LIMITS)
