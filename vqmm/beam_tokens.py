"""Token files of prepared data by Apache Beam, shard by shard."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqmm.data.beam_runner import run_by_beam
from vqmm.data.records import Dataset
from vqmm.data.shards import Modality
from vqmm.tokens import TokenFile, join_tokens, load_tokens, save_tokens


@dataclass(frozen=True)
class TokenWork:
    """Encodes the records of a shard, and writes their token file.

    Attributes:
        run: folder of the run; each process opens it once.
        data: folder that prepare left.
        modality: of the shards.
        parts: folder of the token files, seen by all workers.
    """

    run: Path
    data: Path
    modality: Modality
    parts: Path

    def __call__(self, name: str) -> None:
        from vqmm.encoding import encode_records, tokens_of

        opened, dataset = _opened(self.run), Dataset.open(self.data)
        records = dataset.read([name])
        if len(records):  # all files of a shard may have been unreadable
            encoded = encode_records(opened.model, records, opened.config, self.modality)
            tokens = tokens_of(opened.model, opened.config, encoded, records.lengths, dataset.labels)
            save_tokens(self.parts / f"{name}.npz", tokens)


def tokens_by_beam(
    run: Path, dataset: Dataset, split: str, modality: Modality, out: Path, options: Sequence[str]
) -> TokenFile:
    """The codes of all recordings or pictures of a split, as `vqmm.encoding.tokens_of` gives them.

    Args:
        run: folder of the run.
        dataset: with some of this modality in the split.
        split: its name.
        modality: `"audio"` or `"image"`.
        out: folder for the parts until they are joined; all workers must see it.
        options: of Beam, see `run_by_beam`.
    """
    names = dataset.shard_names(modality, split)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".parts-", dir=out) as parts:
        folder = Path(parts).resolve()
        run_by_beam(TokenWork(run.resolve(), dataset.folder.resolve(), modality, folder), names, options)
        made = [folder / f"{name}.npz" for name in names]
        return join_tokens([load_tokens(path) for path in made if path.exists()])


@functools.cache
def _opened(run: Path) -> Any:
    from vqmm.training.run_folder import open_run

    return open_run(run, coded=True)
