"""A model and its export."""

from __future__ import annotations

from pathlib import Path

import pytest
from codec_of import Codec, codec_of

from vqmm.config import Config
from vqmm.data.records import Dataset
from vqmm.export.saved_model import write_saved_model


@pytest.fixture(scope="session")
def codec(tiny_config: Config, tiny_data: Dataset) -> Codec:
    return codec_of(tiny_config, tiny_data)


@pytest.fixture(scope="session")
def exported(codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_saved_model(codec.model, codec.config, tmp_path_factory.mktemp("export") / "saved_model")
