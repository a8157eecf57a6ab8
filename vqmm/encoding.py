"""Codes and latents of many items: of a prepared split, of records, of any batches.

The one place where `evaluate`, `tokenize`, `index` and `query` run the encoders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vqmm.config import Config
from vqmm.data.batches import evaluation_batches
from vqmm.data.readers import audio_reader, image_reader
from vqmm.data.records import Dataset, Records
from vqmm.data.shards import Modality
from vqmm.errors import UserError
from vqmm.models import VQVAE, Codes
from vqmm.phase_progress import PhaseProgress
from vqmm.quantizers import Quantizer
from vqmm.tokens import TokenFile, fingerprint
from vqmm.value_ranges import check_values

# Settings of layers that do not change what they compute where nothing is trained.
NO_MATTER = {"seed", "dropout", "fourier"}
KINDS: dict[Modality, str] = {"audio": "recordings", "image": "pictures"}


class Encoded(NamedTuple):
    """Items of one modality, encoded, in the order they came.

    Attributes:
        modality: `"audio"` or `"image"`.
        ids: str[n] (object array).
        labels: i32[n], -1 where unknown.
        items: i64[n]; a recording and a picture of the same item are a pair.
        embeddings: f32[n, T, dim], continuous shared latents, unit length per token.
        shared: i32[n, T], global rows of the joint codebook; None for a model without codes.
        private: i32[n, P], the same, or None where the model has no private codes.
        fine: i32[n, T], rows of each slot's table of `FineCodes`, or None where the model has none.
    """

    modality: str
    ids: npt.NDArray[np.object_]
    labels: npt.NDArray[np.int32]
    items: npt.NDArray[np.int64]
    embeddings: npt.NDArray[np.float32]
    shared: Any
    private: npt.NDArray[np.int32] | None
    fine: npt.NDArray[np.int32] | None = None

    def rows(self, kept: npt.NDArray[Any]) -> Encoded:
        """The items where `kept`, bool[n]."""
        columns: dict[str, Any] = {name: part for name, part in self._asdict().items() if part is not None}
        del columns["modality"]
        return self._replace(**{name: part[kept] for name, part in columns.items()})


def encode_split(
    model: VQVAE,
    dataset: Dataset,
    config: Config,
    split: str,
    modality: Modality,
    batch_size: int | None = None,
) -> Encoded:
    """Encodes every recording or every picture of a split, once, in stored order.

    Args:
        model: of the run.
        dataset: prepared data.
        config: of the run.
        split: name of the split.
        modality: `"audio"` or `"image"`.
        batch_size: items at a time; None takes ``config.evaluate.batch_size``.

    Returns:
        `Encoded`, n = number of recordings or pictures of the split.

    Raises:
        UserError: the split is not there, has none of this modality, or was prepared
            otherwise than the config says.
    """
    size = int(batch_size or config.evaluate.batch_size)
    batches = evaluation_batches(dataset, config, split, modality, size)
    total = dataset.counts.get(split, {}).get(KINDS[modality])
    return encode_batches(model, batches, modality, f"split {split!r}", total=total)


def encode_records(
    model: VQVAE, records: Records, config: Config, modality: Modality, batch_size: int | None = None
) -> Encoded:
    """Encodes records that are in memory, as `encode_split` does; each is decoded when its turn comes.

    Raises:
        UserError: there are none.
    """
    size = int(batch_size or config.evaluate.batch_size)
    return encode_batches(model, _batches(records, config, modality, size), modality, total=len(records))


def traced_encoder(model: Any, modality: Modality) -> Callable[[Any], Any]:
    """Compiles a model's encoder for batches of any size.

    Returns:
        A function of f32[B, samples] or f32[B, H, W, C]; gives embeddings f32[B, T, dim] and
        `Codes`, with None for those that the model has not.
    """

    def traced(items: Any) -> Any:
        found = model.encode(**{modality: items})
        codes = found if isinstance(found, Codes) else Codes(None)
        return model.embed(**{modality: items}), codes

    items = tf.TensorSpec((None, *model.input_shapes[modality]), tf.float32)
    return tf.function(traced, autograph=False).get_concrete_function(items)


def encode_batches(
    model: Any,
    batches: Iterable[Mapping[str, Any]],
    modality: Modality,
    origin: str = "the data",
    encode: Callable[[Any], Any] | None = None,
    total: int | None = None,
) -> Encoded:
    """Encodes batches of one modality.

    Args:
        model: that encodes, with codes or without.
        batches: dicts with `modality` (f32[B, samples] or f32[B, H, W, C]) and `id`;
            `label` and `item` where known. The last may be shorter.
        modality: `"audio"` or `"image"`.
        origin: what to call the data when there is nothing in it.
        encode: of `traced_encoder`, where it is kept for more than one call.
        total: number of items, where it is known, for the progress that a long call shows.

    Raises:
        UserError: no batches, values that cannot be meant (see `vqmm.value_ranges`), or latents
            that are not finite.
    """
    encode = encode or traced_encoder(model, modality)
    columns: list[tuple[Any, ...]] = []
    with PhaseProgress("encoding", KINDS[modality], total) as progress:
        for batch in batches:
            check_values(modality, batch[modality])
            values, codes = encode(tf.convert_to_tensor(batch[modality], tf.float32))
            names = np.array([_text(i) for i in np.asarray(batch["id"])], dtype=object)
            unknown = np.full(len(names), -1)
            columns.append(
                (
                    names,
                    np.asarray(batch.get("label", unknown), np.int32),
                    np.asarray(batch.get("item", unknown), np.int64),
                    values.numpy(),
                    *(None if part is None else part.numpy() for part in codes),
                )
            )
            progress.advance(len(names))
    if not columns:
        raise UserError(
            f"{origin} has no {KINDS[modality]}; prepare data that has some, or choose another split"
        )
    ids, labels, items, embedded, *codes_by_kind = (list(part) for part in zip(*columns, strict=True))
    join = np.concatenate
    chosen = (None if part[0] is None else join(part) for part in codes_by_kind)
    encoded = Encoded(modality, join(ids), join(labels), join(items), join(embedded), *chosen)
    _check_finite(encoded, origin)
    return encoded


def _check_finite(encoded: Encoded, origin: str) -> None:
    """Refuses latents that are no numbers: all of them get the same code, and no ranking means anything."""
    bad = np.asarray(~np.isfinite(encoded.embeddings).all(axis=(1, 2)))
    if bad.any():
        kind = "recordings" if encoded.modality == "audio" else "pictures"
        raise UserError(
            f"{origin}: the model's latents are not finite for {bad.sum()} of {len(bad)} "
            f"{kind}, the first {encoded.ids[bad.argmax()]!r}; look at that item and at the "
            "model's weights, and train again if the run has diverged"
        )


def tokens_of(
    model: VQVAE,
    config: Config,
    encoded: Encoded,
    lengths: npt.NDArray[Any],
    label_names: Sequence[str] = (),
) -> TokenFile:
    """The codes as a token file.

    Args:
        model: that encoded them.
        config: of the run.
        encoded: the items.
        lengths: i[n], samples of each recording before it is cut or padded; of pictures anything.
        label_names: of the data, where the items have labels.
    """
    data = config.data
    grid = model.encoders[encoded.modality].grid_shape if encoded.private is not None else None
    audio = encoded.modality == "audio"
    frame = [data.image.height, data.image.width]
    return TokenFile(
        modality=encoded.modality,
        ids=encoded.ids,
        shared=encoded.shared,
        private=encoded.private,
        sizes=lengths[:, None] if audio else np.tile(frame, (len(encoded.ids), 1)),
        fingerprint=codebook_fingerprint(model),
        grid=grid,
        sample_rate=data.audio.sample_rate if audio else None,
        frame_rate=frame_rate(config, grid) if audio else None,
        labels=encoded.labels if (encoded.labels >= 0).any() else None,
        label_names=tuple(label_names),
    )


def frame_rate(config: Config, grid: tuple[int, int] | None) -> float | None:
    """Rows of a recording's grid a second, Hz; None without one."""
    audio = config.data.audio
    return None if grid is None else grid[0] / (audio.samples / audio.sample_rate)


def vectors_of_codes(encoded: Encoded, dim: int) -> npt.NDArray[np.float32]:
    """The latent that each shared code was chosen for, f32[n, codes, dim].

    Where a token has several codes, they are those of its stretches (grouped, dim smaller)
    or of the whole of it (residual; every level is compared with the token itself).
    """
    count = encoded.shared.shape[1]
    whole = encoded.embeddings
    if whole.shape[1:] == (count, dim):
        return whole
    if whole.shape[2] != dim:
        return whole.reshape(len(whole), count, dim)
    return np.repeat(whole, count // whole.shape[1], axis=1)


def codebook_fingerprint(model: VQVAE) -> str:
    """`vqmm.tokens.fingerprint` of all that decides a model's codes.

    That is the log-mel's settings, the encoders with their moving averages and number format, the
    quantizer's codes and projections into their space, and the fine codes. Decoders, projections out
    of the codes' space, averages that only training reads and seeds are left out: they may change
    while codes stay what they are.
    """
    quantizer = model.quantizer
    parts = [part for part in quantizer._flatten_layers() if isinstance(part, Quantizer)]
    weights = [weight for name in sorted(model.encoders) for weight in model.encoders[name].weights]
    weights += [weight for part in parts for weight in part.code_weights]
    if model.fine is not None:
        weights.append(model.fine.tables)
    settings = {
        "ranges": quantizer.ranges,
        "parts": [[type(part).__name__, part.code_settings] for part in parts],
        "inputs": model.input_shapes,
        "features": {name: _own_settings(layer) for name, layer in model.features.items()},
        "encoders": {name: _own_settings(layer) for name, layer in model.encoders.items()},
        "number_formats": {name: layer.compute_dtype for name, layer in model.encoders.items()},
    }
    return fingerprint(weights, settings)


def _own_settings(layer: keras.layers.Layer) -> dict[str, Any]:
    """The settings that a layer's class adds to those of all layers."""
    others = keras.layers.Layer.get_config(layer).keys() | NO_MATTER
    return {key: value for key, value in layer.get_config().items() if key not in others}


def _batches(records: Records, config: Config, modality: Modality, size: int) -> Iterator[dict[str, Any]]:
    rows = tf.data.Dataset.range(len(records)).batch(size)
    if modality == "audio":
        read_audio = audio_reader(records, config.data.audio.samples, cached=False)

        def read(part: Any) -> Any:
            return read_audio(part, tf.zeros(tf.shape(part)))  # no jitter: the loudest window

        values = rows.map(read)
    else:
        values = rows.map(image_reader(records, config.data.image, cached=False))
    for number, part in enumerate(values):
        here = slice(number * size, (number + 1) * size)
        yield {
            modality: part,
            "id": records.ids[here],
            "label": records.labels[here],
            "item": records.items[here],
        }


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
