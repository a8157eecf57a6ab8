"""What an exported model can do: one named function for each signature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from vqmm.config import Config
from vqmm.data.pixels import REQUEST_PIXELS
from vqmm.export.picture_input import picture_reader
from vqmm.export.wav_input import wav_reader
from vqmm.export.waveform import inverter
from vqmm.models import VQVAE, Codes
from vqmm.value_ranges import VALUE_RANGES, received


class Signature(NamedTuple):
    """A function of tensors by name.

    Attributes:
        function: a traced `tf.function`; takes the inputs in order or by name, returns a dict.
        inputs: by name.
        outputs: by name.
    """

    function: Any
    inputs: dict[str, tf.TensorSpec]
    outputs: dict[str, tf.TensorSpec]


def tensor_signatures(
    model: VQVAE, batch: int | None = None, verbs: Sequence[str] = ("encode", "embed", "decode")
) -> dict[str, Signature]:
    """Signatures from tensors to tensors, of operations that LiteRT has as well.

    `encode_audio`, `encode_image`: items to `shared` i32[B, T] and, where the modality has
    private codes, `private` i32[B, P]. `embed_audio`, `embed_image`: to `embedding`
    f32[B, T, E], each of unit length. `decode_audio`, `decode_image`: codes to `log_mel`
    f32[B, frames, mels, 1] or `image` f32[B, H, W, C] in 0..1; an item whose private codes
    are all -1 is rebuilt from its shared codes alone.

    Args:
        model: with codes.
        batch: fixed number of items; None for any.
        verbs: which of them.

    Raises:
        UserError: the model's codes have not started.
    """
    model.check_codes_started()
    found: dict[str, Signature] = {}
    for modality, shape in model.input_shapes.items():
        item = {modality: tf.TensorSpec((batch, *shape), tf.float32, name=modality)}
        codes = _code_specs(model, modality, batch)
        made = {
            "encode": (_encoder(model, modality, codes), item),
            "embed": (_embedder(model, modality), item),
            "decode": (_decoder(model, modality), codes),
        }
        found.update({f"{verb}_{modality}": signature(*made[verb]) for verb in verbs})
    return found


def serving_signatures(
    model: VQVAE, config: Config, request_pixels: int = REQUEST_PIXELS
) -> dict[str, Signature]:
    """The signatures of the SavedModel, any batch: `tensor_signatures` and what needs more of TensorFlow.

    `encode_audio_bytes` takes `audio_bytes` str[B], WAV files; `encode_image_bytes` takes
    `image_bytes` str[B], PNG or JPEG files, of at most `request_pixels` pixels together by their
    headers; both prepare them as `prepare` does.
    `decode_audio` also gives the waveform, `audio` f32[B, samples]. InvalidArgumentError is raised
    for items with values that cannot be meant (see `vqmm.value_ranges`), and for codes outside their
    range: the private codes of an item are all in it, or all -1.
    """
    found = tensor_signatures(model)
    encoders = {modality: found[f"encode_{modality}"].function for modality in model.input_shapes}
    for modality in model.input_shapes:
        for verb in ("encode", "embed"):
            name = f"{verb}_{modality}"
            found[name] = signature(_in_range(modality, found[name].function), found[name].inputs)
    invert = inverter(model.features["audio"])
    for modality in model.input_shapes:
        decode = found[f"decode_{modality}"]
        checked = _checked(model, modality, decode, invert if modality == "audio" else None)
        found[f"decode_{modality}"] = signature(checked, decode.inputs)
    readers = {
        "audio": wav_reader(config.data.audio),
        "image": picture_reader(config.data.image, request_pixels),
    }
    for modality, read in readers.items():
        files = {f"{modality}_bytes": tf.TensorSpec((None,), tf.string, name=f"{modality}_bytes")}
        encode = _after(read, encoders[modality])  # values of a reader are in range
        found[f"encode_{modality}_bytes"] = signature(encode, files)
    return found


def signature(function: Callable[..., dict[str, Any]], inputs: dict[str, tf.TensorSpec]) -> Signature:
    """Traces a function of tensors in order, for tensors like `inputs`."""
    traced = tf.function(function, input_signature=list(inputs.values()), autograph=False)
    outputs = traced.get_concrete_function().structured_outputs
    return Signature(traced, inputs, {n: tf.TensorSpec(t.shape, t.dtype, n) for n, t in outputs.items()})


def _after(read: Callable[[Any], Any], encode: Callable[..., Any]) -> Callable[..., Any]:
    return lambda files: encode(read(files))


def _encoder(model: VQVAE, modality: str, codes: dict[str, tf.TensorSpec]) -> Callable[..., dict[str, Any]]:
    def encode(items: Any) -> dict[str, Any]:
        found = model.encode(**{modality: items}, fine=False)._asdict()
        return {name: tf.ensure_shape(found[name], spec.shape) for name, spec in codes.items()}

    return encode


def _embedder(model: VQVAE, modality: str) -> Callable[..., dict[str, Any]]:
    return lambda items: {"embedding": model.embed(**{modality: items})}


def _decoder(model: VQVAE, modality: str) -> Callable[..., dict[str, Any]]:
    name = "log_mel" if modality == "audio" else "image"
    decoder, values = model.decoders[modality], model.quantizer.codes_to_values

    def decode(shared: Any, private: Any = None) -> dict[str, Any]:
        if private is None:
            return {name: model.decode(Codes(shared), modality)}
        present = tf.reduce_any(private >= 0, axis=tuple(range(1, len(private.shape))))
        first, _ = model.quantizer.range_of(modality)
        legal = tf.where(tf.reshape(present, (-1, *[1] * (len(private.shape) - 1))), private, first)
        out = decoder(values(shared, "shared"), values(legal, modality), present, training=False)
        return {name: decoder.value(out.parameters)}

    return decode


def _in_range(modality: str, function: Any) -> Callable[..., dict[str, Any]]:
    low, high = VALUE_RANGES[modality].accepted

    def run(items: Any) -> dict[str, Any]:
        inside = tf.reduce_all((items >= low) & (items <= high))  # false for NaN
        told = [received(modality), tf.reduce_min(items), "to", tf.reduce_max(items)]
        with tf.control_dependencies([tf.debugging.Assert(inside, told)]):
            return dict(function(tf.identity(items)))

    return run


def _checked(
    model: VQVAE, modality: str, decode: Signature, invert: Callable[[Any], Any] | None
) -> Callable[..., dict[str, Any]]:
    ranges = {"shared": model.quantizer.range_of("shared")}
    if "private" in decode.inputs:
        ranges["private"] = model.quantizer.range_of(modality)

    def run(*codes: Any) -> dict[str, Any]:
        checks = []
        for (name, (first, stop)), rows in zip(ranges.items(), codes, strict=True):
            inside = tf.reduce_all((rows >= first) & (rows < stop), axis=tuple(range(1, len(rows.shape))))
            absent = ""
            if name == "private":
                inside |= tf.reduce_all(rows == -1, axis=tuple(range(1, len(rows.shape))))
                absent = ", or are all -1 in an item that has none"
            said = [f"{name} codes lie between {first} and {stop - 1}{absent}; received", rows]
            checks.append(tf.debugging.Assert(tf.reduce_all(inside), said, summarize=8))
        with tf.control_dependencies(checks):
            found = decode.function(*(tf.identity(rows) for rows in codes))
        return found if invert is None else {**found, "audio": invert(found["log_mel"])}

    return run


def _code_specs(model: VQVAE, modality: str, batch: int | None) -> dict[str, tf.TensorSpec]:
    codes = model.encode(**{modality: tf.zeros((1, *model.input_shapes[modality]))}, fine=False)
    return {
        name: tf.TensorSpec((batch, *value.shape[1:]), tf.int32, name=name)
        for name, value in codes._asdict().items()
        if value is not None
    }
