"""The work of `prepare` and `tokenize` by Apache Beam: on one machine, or by any of its runners."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqmm.atomic import write_atomic
from vqmm.config import Data
from vqmm.data.plan import Shard
from vqmm.data.shard_writer import write_shard
from vqmm.data.workers import encode_files
from vqmm.errors import UserError
from vqmm.extras import requires_extra
from vqmm.phase_progress import PhaseProgress


def run_by_beam(work: Callable[[Any], None], elements: Iterable[Any], options: Sequence[str]) -> None:
    """Calls `work` on every element, each on some worker; waits until all is done.

    Args:
        work: writes what it makes to a folder that all workers see. It and the elements are
            pickled; a call may be repeated, as Beam does after a failure.
        elements: of the work.
        options: of Beam, as `"runner=FlinkRunner"`, `"streaming"`; none is the DirectRunner.

    Raises:
        UserError: Beam is not installed, does not know an option, or the work failed.
    """
    with requires_extra("beam", "--runner beam"):
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    told = PipelineOptions([f"--{option}" for option in options])
    try:
        with beam.Pipeline(options=told) as pipeline:
            # As bytes: Beam would look into the elements for a schema.
            parts = pipeline | beam.Create([pickle.dumps(element) for element in elements])
            _ = parts | beam.Reshuffle() | beam.Map(_Call(work))
    except UserError:
        raise
    except Exception as error:  # runners raise nearly anything
        said = " ".join(str(error).split())[:300]
        raise UserError(
            f"Beam failed ({type(error).__name__}: {said}); what is done is kept, run it again"
        ) from error


@dataclass(frozen=True)
class ShardWork:
    """Decodes the files of a `Shard` and writes it, and a note on it.

    Attributes:
        data: specs to decode to.
        out: folder of the shards.
        notes: folder of the notes, see `vqmm.data.shard_writer.write_shard`.
    """

    data: Data
    out: Path
    notes: Path

    def __call__(self, shard: Shard) -> None:
        files = [(entry.path, entry.modality) for entry in shard.entries]
        note = write_shard(shard, encode_files(files, self.data, workers=1), self.out)
        write_atomic(self.notes / f"{shard.name}.json", json.dumps(note))


def write_shards_by_beam(
    shards: Sequence[Shard],
    data: Data,
    out: Path,
    notes: Path,
    options: Sequence[str],
    progress: bool = False,
) -> dict[str, Any]:
    """Writes shards, each on some worker; returns the notes by name. `out` must be seen by all workers."""
    places = [notes / f"{shard.name}.json" for shard in shards]
    for place in places:  # of earlier content
        place.unlink(missing_ok=True)
    shown = PhaseProgress("preparing by Beam", "shards", len(shards), show=progress)
    with shown.following(lambda: sum(place.exists() for place in places)):
        run_by_beam(ShardWork(data, out.resolve(), notes.resolve()), shards, options)
    return {s.name: json.loads((notes / f"{s.name}.json").read_text(encoding="utf-8")) for s in shards}


@dataclass(frozen=True)
class _Call:
    work: Callable[[Any], None]

    def __call__(self, element: bytes) -> None:
        self.work(pickle.loads(element))  # made above, by this program
