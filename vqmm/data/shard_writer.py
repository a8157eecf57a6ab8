"""One shard: the records of its files, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vqmm.atomic import replacing
from vqmm.data.file_hashes import is_unchanged
from vqmm.data.plan import Shard
from vqmm.data.remarks import remarks_on
from vqmm.data.shards import Record, encode_record, file_sha256
from vqmm.data.workers import Encoded
from vqmm.errors import UserError


def write_shard(
    shard: Shard, encoded: Iterator[Encoded], out: Path, step: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Writes a shard; a file that cannot be read leaves a gap.

    Args:
        shard: what it is called and made of.
        encoded: gives an `Encoded` for each of its entries, in order.
        out: folder to write.
        step: called after each file.

    Returns:
        The note on it: `{"sha256": hex, "made_from": Shard.digest(), "rejected": {id: reason}, "remarks":
        {id: {kind: [text]}}}`, see `vqmm.data.remarks`.

    Raises:
        UserError: a file changed since the plan was made; the shard is not written.
    """
    import tensorflow as tf  # late: wrong usage and bad manifests are found without it

    path = out / shard.name
    rejected = {}
    remarks = {}
    with replacing(path) as part:
        writer = tf.io.TFRecordWriter(str(part))
        try:
            for entry in shard.entries:
                result = next(encoded)
                if result.reason is not None:
                    rejected[entry.id] = result.reason
                else:
                    if found := remarks_on(result):
                        remarks[entry.id] = found
                    writer.write(
                        encode_record(
                            Record(
                                id=entry.id,
                                item=entry.item,
                                label=entry.label,
                                data=result.data,
                                caption=entry.caption,
                                length=result.length,
                                extra=entry.extra,
                            )
                        )
                    )
                step()
            for entry in shard.entries:
                if entry.source is not None and not is_unchanged(entry.path, entry.source):
                    raise UserError(
                        f"{entry.path} changed while the data was prepared; run the same command again "
                        "when the files are at rest"
                    )
        finally:
            writer.close()
    return {
        "sha256": file_sha256(path),
        "made_from": shard.digest(),
        "rejected": rejected,
        "remarks": remarks,
    }
