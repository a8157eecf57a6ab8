"""How well items are rebuilt from their codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from vqmm.audio import log_mel_to_audio
from vqmm.config import Config
from vqmm.evaluation.cases import Cases
from vqmm.evaluation.extractors import Extractor, as_seen, scaled
from vqmm.evaluation.material import Material, Side, sampled_rows
from vqmm.losses import perceptual_distance
from vqmm.metrics import (
    bootstrap_figure,
    frechet_distance,
    kernel_distance,
    log_mel_l1,
    logistic_cross_entropy,
    mean_squared_error,
    multiscale_mel_distance,
    multiscale_ssim,
    psnr,
    si_sdr,
    ssim,
)
from vqmm.models import Codes

WAVEFORMS = 32  # recordings that are turned back into sound to be compared
SCALES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)  # of the logistic distribution, in picture units


def reconstruction_section(
    model: Any,
    material: Material,
    config: Config,
    extractors: Mapping[str, Extractor] | None = None,
    cases: Cases | None = None,
) -> dict[str, Any]:
    """`reconstruction` of `evaluation.json`, from all codes (or latents) of an item.

    With `extractors`, how far rebuilt items are from the originals in features: `perceptual`
    item by item, `frechet` and `kernel` as sets. `cross_entropy` is in bits a sample, at the one
    scale (`cross_entropy_scale`) that fits the split best.

    `shared_only` beneath says what the shared codes alone rebuild, where the model
    has private ones. Spectrograms become sound by Griffin-Lim; the multi-scale mel
    distance has beside it `vocoder_floor`, the distance at which Griffin-Lim leaves
    the original's own spectrogram. `cases` gets the value of every item.
    """
    resamples, seed = config.evaluate.bootstrap, config.seed
    kept = Cases() if cases is None else cases

    def summed_up(columns: dict[str, np.ndarray]) -> dict[str, Any]:
        return {
            name: bootstrap_figure(values, "mean", resamples, seed).to_json()
            for name, values in columns.items()
        }

    section: dict[str, Any] = {}
    for modality, side in material.sides.items():
        measure = _image_measures if modality == "image" else _audio_measures
        rebuilt = _all_rebuilt(model, side, config)
        columns = _over_batches(model, side, config, measure, rebuilt)
        more: dict[str, Any] = {}
        if modality == "image":
            bits = _over_batches(model, side, config, _cross_entropies, rebuilt)
            best = min(bits, key=lambda scale: bits[scale].mean())
            columns["cross_entropy"], more["cross_entropy_scale"] = bits[best], float(best)
        else:
            more |= summed_up(_waveform_measures(model, side, config, kept))
        if extractors and modality in extractors:
            judged = _in_features(model, side, config, extractors[modality], rebuilt)
            columns["perceptual"] = judged.apart
            kept.note_features(
                f"reconstruction.{modality}.frechet", side.encoded.ids, judged.real, judged.rebuilt
            )
            more["frechet"] = frechet_distance(judged.real, judged.rebuilt, seed=seed).to_json()
            more["kernel"] = kernel_distance(judged.real, judged.rebuilt, seed=seed).to_json()
        if model.encoders[modality].private:
            alone = _all_rebuilt(model, side, config, private=False)
            more["shared_only"] = summed_up(_over_batches(model, side, config, measure, alone))
        for name, values in columns.items():
            kept.note(f"reconstruction.{modality}.{name}", side.encoded.ids, values)
        section[modality] = {**summed_up(columns), **more}
    return section


def rebuild(model: Any, side: Side, rows: Any, private: bool = True) -> np.ndarray:
    """Pictures f32[n, H, W, C] or log-mel f32[n, frames, mels, 1] from the codes of some rows.

    Args:
        model: a `VQVAE`.
        side: the items.
        rows: which, a slice or i[n].
        private: whether private codes are used too, where there are any.
    """
    encoded = side.encoded
    if encoded.shared is None:
        found = model.reconstruct(tf.convert_to_tensor(side.inputs[rows]), encoded.modality, private=private)
        return np.asarray(found, "float32")
    own = encoded.private[rows] if private and encoded.private is not None else None
    codes = Codes(
        tf.convert_to_tensor(encoded.shared[rows]), None if own is None else tf.convert_to_tensor(own)
    )
    return np.asarray(model.decode(codes, modality=encoded.modality), "float32")


def _all_rebuilt(model: Any, side: Side, config: Config, private: bool = True) -> np.ndarray:
    blocks = _blocks(len(side.inputs), config.evaluate.batch_size)
    return np.concatenate([rebuild(model, side, block, private) for block in blocks])


def _over_batches(
    model: Any,
    side: Side,
    config: Config,
    measure: Callable[..., dict[str, np.ndarray]],
    rebuilt: np.ndarray,
) -> dict[str, np.ndarray]:
    found = [
        measure(model, side.inputs[block], rebuilt[block])
        for block in _blocks(len(side.inputs), config.evaluate.batch_size)
    ]
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _image_measures(model: Any, original: np.ndarray, rebuilt: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "mse": mean_squared_error(original, rebuilt),
        "psnr": psnr(original, rebuilt),
        "ssim": ssim(original, rebuilt),
        "ms_ssim": multiscale_ssim(original, rebuilt),
    }


def _audio_measures(model: Any, original: np.ndarray, rebuilt: np.ndarray) -> dict[str, np.ndarray]:
    return {"log_mel_l1": log_mel_l1(np.asarray(model.log_mel(original)), rebuilt)}


def _waveform_measures(
    model: Any, side: Side, config: Config, kept: Cases | None = None
) -> dict[str, np.ndarray]:
    rows = sampled_rows(len(side.inputs), WAVEFORMS, config.seed)
    original = side.inputs[rows]
    spectrograms = {
        "multiscale_mel": rebuild(model, side, rows),
        "vocoder_floor": np.asarray(model.log_mel(original)),
    }
    rate = config.data.audio.sample_rate
    sounds = {name: waveforms(mels, config) for name, mels in spectrograms.items()}
    found = {name: multiscale_mel_distance(original, sound, rate) for name, sound in sounds.items()}
    if kept is not None:
        for name, values in found.items():
            kept.note(f"reconstruction.audio.{name}", side.encoded.ids[rows], values)
    ratio = si_sdr(original, sounds["multiscale_mel"])
    heard = np.isfinite(ratio)  # silence has none
    return {**found, "si_sdr": ratio[heard]} if heard.any() else found


def _cross_entropies(model: Any, original: np.ndarray, rebuilt: np.ndarray) -> dict[str, np.ndarray]:
    """Bits a sample at every scale, by the scale."""
    return {str(scale): logistic_cross_entropy(original, rebuilt, scale) for scale in SCALES}


class _InFeatures(NamedTuple):
    """Items and what is rebuilt of them as an extractor sees them.

    Attributes:
        apart: f[n], perceptual distance item by item.
        real, rebuilt: f32[n, 64], features.
    """

    apart: np.ndarray
    real: np.ndarray
    rebuilt: np.ndarray


def _in_features(
    model: Any, side: Side, config: Config, extractor: Extractor, rebuilt: np.ndarray
) -> _InFeatures:
    real = as_seen(model, side)
    fake = scaled(rebuilt) if side.encoded.modality == "audio" else rebuilt
    apart = [
        np.asarray(perceptual_distance(extractor.maps(real[block]), extractor.maps(fake[block])))
        for block in _blocks(len(real), config.evaluate.batch_size)
    ]
    return _InFeatures(np.concatenate(apart), extractor.features(real), extractor.features(fake))


def waveforms(log_mels: np.ndarray, config: Config) -> np.ndarray:
    """Sound f32[n, samples] from log-mel f32[n, frames, mels, 1], by Griffin-Lim."""
    length, spec = config.data.audio.samples, config.model.log_mel
    rate = config.data.audio.sample_rate
    sounds = [
        log_mel_to_audio(mel, rate, spec.n_fft, spec.hop_length, spec.fmin, spec.fmax) for mel in log_mels
    ]
    return np.stack([np.pad(x, (0, max(length - len(x), 0)))[:length] for x in sounds]).astype("float32")


def _blocks(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
