"""Token files of prepared data by Apache Beam, shard by shard."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vqmm.data.beam_runner import run_by_beam
from vqmm.data.records import Dataset
from vqmm.data.shards import Modality
from vqmm.errors import UserError
from vqmm.lock import hold
from vqmm.tokens import TokenFile, join_tokens, load_tokens, save_tokens

if TYPE_CHECKING:
    from vqmm.training.run_folder import Run


@dataclass(frozen=True)
class TokenWork:
    """Encodes the records of a shard, and writes their token file where it is not there yet.

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
        if not self.path(name).exists():  # written whole or not at all
            encode_shard(self, name)

    def path(self, name: str) -> Path:
        """Of a shard's token file."""
        return self.parts / f"{name}.npz"


def encode_shard(work: TokenWork, name: str) -> None:
    """Writes the token file of a shard, none where no record could be read."""
    from vqmm.encoding import encode_records, tokens_of

    opened, dataset = _opened(work.run), Dataset.open(work.data)
    records = dataset.read([name])
    if len(records):  # all files of a shard may have been unreadable
        encoded = encode_records(opened.model, records, opened.config, work.modality)
        tokens = tokens_of(opened.model, opened.config, encoded, records.lengths, dataset.labels)
        save_tokens(work.path(name), tokens)


@contextlib.contextmanager
def tokens_by_beam(
    opened: Run, dataset: Dataset, split: str, modality: Modality, out: Path, options: Sequence[str]
) -> Iterator[TokenFile]:
    """The codes of all recordings or pictures of a split, as `vqmm.encoding.tokens_of` gives them.

    The token files of shards are kept in `out` until the block has ended well: the same call goes on
    where one failed. Those of another model or other data do not count, and go then as well.

    Args:
        opened: the run.
        dataset: with some of this modality in the split.
        split: its name.
        modality: `"audio"` or `"image"`.
        out: folder for the parts until they are joined; all workers must see it.
        options: of Beam, see `run_by_beam`.

    Yields:
        The parts, joined.

    Raises:
        UserError: the work failed, or another process does the same.
    """
    names = dataset.shard_names(modality, split)
    stem = f".parts-{modality}-{split}-"
    parts = out / f"{stem}{_key(opened.model, dataset)}"
    parts.mkdir(parents=True, exist_ok=True)
    with hold(parts / "lock"):
        work = TokenWork(opened.folder.resolve(), dataset.folder.resolve(), modality, parts.resolve())
        run_by_beam(work, names, options)
        yield join_tokens([load_tokens(work.path(name)) for name in names if work.path(name).exists()])
        shutil.rmtree(parts)
    for left in out.glob(f"{stem}*"):
        with contextlib.suppress(UserError), hold(left / "lock"):  # unless they are in use
            shutil.rmtree(left)


def _key(model: Any, dataset: Dataset) -> str:
    """Of all that decides the codes; the codebook alone does not, and some kinds have but one."""
    found = hashlib.sha256(dataset.checksum.encode())
    for values in model.get_weights():
        found.update(values.tobytes())
    return found.hexdigest()[:16]


@functools.cache
def _opened(run: Path) -> Any:
    from vqmm.training.run_folder import open_run

    return open_run(run, coded=True)
