"""An exported model, its index, and a service of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from codec_of import Codec, MadeOnce, shared_codec, shared_export
from in_process import client_of

from vqmm.config import Config
from vqmm.data.records import Dataset
from vqmm.retrieval.model_index import add_split, index_for
from vqmm.serving.app import create_app
from vqmm.serving.service import Service
from vqmm.serving.settings import Settings

SETTINGS = Settings(
    batch=8, queue=16, rows=16, body_bytes=300_000, seconds=3, pixels=10_000, poll_s=60, hits=50
)


class Served(NamedTuple):
    """What the tests ask, and what they compare with."""

    codec: Codec
    export: Path
    index: Path
    files: Path
    service: Service
    http: httpx.Client


@pytest.fixture(scope="session")
def served(
    tiny_config: Config, tiny_data: Dataset, made_once: MadeOnce, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    codec = shared_codec(tiny_config, tiny_data, made_once)
    folder = tmp_path_factory.mktemp("served")
    (folder / "export").mkdir()
    (folder / "export" / "saved_model").symlink_to(shared_export(codec, made_once))
    index = index_for(codec.model, codec.config, vectors=True)
    add_split(index, codec.model, tiny_data, codec.config, "test")
    index.set_lists(2)
    index.save(folder / "index")
    service = Service(folder / "export", folder / "index", SETTINGS)
    with client_of(create_app(service)) as http:
        yield Served(codec, folder / "export", folder / "index", tiny_data.folder.parent, service, http)
    service.close()
