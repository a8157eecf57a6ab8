"""A model and its export."""

from __future__ import annotations

from pathlib import Path

import pytest
from codec_of import Codec, MadeOnce, shared_codec, shared_export

from vqmm.config import Config
from vqmm.data.records import Dataset


@pytest.fixture(scope="session")
def codec(tiny_config: Config, tiny_data: Dataset, made_once: MadeOnce) -> Codec:
    return shared_codec(tiny_config, tiny_data, made_once)


@pytest.fixture(scope="session")
def exported(codec: Codec, made_once: MadeOnce) -> Path:
    return shared_export(codec, made_once) / "1"
