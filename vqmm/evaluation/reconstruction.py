"""How well items are rebuilt from their codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from vqmm.audio import log_mel_to_audio
from vqmm.config import Config
from vqmm.evaluation.cases import Cases, Values
from vqmm.evaluation.extractors import Extractor, SetJudge, as_seen, scaled
from vqmm.evaluation.material import SAMPLE_SEED, Material, Side, sampled_rows
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
from vqmm.metrics.fidelity import MOST_DB
from vqmm.models import Codes
from vqmm.phase_progress import PhaseProgress

WAVEFORMS = 32  # recordings that are turned back into sound to be compared
SCALES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)  # of the logistic distribution, in picture units


def reconstruction_section(
    model: Any,
    material: Material,
    config: Config,
    extractors: Mapping[str, Extractor] | None = None,
    cases: Cases | None = None,
    sets: Mapping[str, SetJudge] | None = None,
) -> dict[str, Any]:
    """`reconstruction` of `evaluation.json`, from all codes (or latents) of an item.

    With `extractors`, how far rebuilt items are from the originals in features: `perceptual`
    item by item, `frechet` and `kernel` as sets, these by `sets` where it has another judge.
    `cross_entropy` is in bits a sample, at the one scale (`cross_entropy_scale`) that fits the
    split best.

    `shared_only` beneath says what the shared codes alone rebuild, where the model
    has private ones. Spectrograms become sound by Griffin-Lim; the multi-scale mel
    distance has beside it `vocoder_floor`, the distance at which Griffin-Lim leaves
    the original's own spectrogram. `si_sdr` is bounded by +-100 dB, which `si_sdr_clips`
    counts: `exact` and `silent_rebuilt`; `silent_originals` have none and are left out.
    `cases` gets the value of every item.
    """
    resamples, seed = config.evaluate.bootstrap, config.seed
    kept = Cases() if cases is None else cases
    taught = extractors or {}
    compared = {**taught, **(sets or {})}

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
            heard, more["si_sdr_clips"] = _waveform_measures(model, side, config)
            more |= summed_up({name: held.values for name, held in heard.items()})
            for name, held in heard.items():
                kept.note(f"reconstruction.{modality}.{name}", held.ids, held.values)
        if modality in compared:
            judge = compared[modality]
            pair = as_seen(model, side), scaled(rebuilt) if modality == "audio" else rebuilt
            if modality in taught:
                columns["perceptual"] = _perceptual(taught[modality], *pair, config.evaluate.batch_size)
            real, fake = (judge.features(items) for items in pair)
            path = f"reconstruction.{modality}.frechet"
            kept.note_features(path, side.encoded.ids, real, fake, judge.fingerprint)
            more["frechet"] = frechet_distance(real, fake, seed=seed).to_json()
            more["kernel"] = kernel_distance(real, fake, resamples, seed, paired=True).to_json()
        if model.encoders[modality].private:
            alone = _all_rebuilt(model, side, config, private=False)
            more["shared_only"] = summed_up(_over_batches(model, side, config, measure, alone))
        for name, values in columns.items():
            judged_by = taught[modality].fingerprint if name == "perceptual" else ""
            kept.note(f"reconstruction.{modality}.{name}", side.encoded.ids, values, judged_by)
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


def _waveform_measures(model: Any, side: Side, config: Config) -> tuple[dict[str, Values], dict[str, int]]:
    """Figures of what recordings sound like when rebuilt, clip by clip; and how many have which ratio."""
    rows = sampled_rows(len(side.inputs), WAVEFORMS, SAMPLE_SEED)
    original, ids = side.inputs[rows], np.asarray(side.encoded.ids[rows], "str")
    spectrograms = {
        "multiscale_mel": rebuild(model, side, rows),
        "vocoder_floor": np.asarray(model.log_mel(original)),
    }
    rate = config.data.audio.sample_rate
    sounds = {name: waveforms(mels, config) for name, mels in spectrograms.items()}
    found = {
        name: Values(ids, multiscale_mel_distance(original, sound, rate)) for name, sound in sounds.items()
    }
    ratio = si_sdr(original, sounds["multiscale_mel"])
    heard = ~np.isnan(ratio)
    if heard.any():
        found["si_sdr"] = Values(ids[heard], np.clip(ratio[heard], -MOST_DB, MOST_DB))
    return found, {
        "silent_originals": int((~heard).sum()),
        "silent_rebuilt": int(np.isneginf(ratio).sum()),
        "exact": int((ratio >= MOST_DB).sum()),
    }


def _cross_entropies(model: Any, original: np.ndarray, rebuilt: np.ndarray) -> dict[str, np.ndarray]:
    """Bits a sample at every scale, by the scale."""
    return {str(scale): logistic_cross_entropy(original, rebuilt, scale) for scale in SCALES}


def _perceptual(extractor: Extractor, real: np.ndarray, fake: np.ndarray, size: int) -> np.ndarray:
    """Distance f[n] of items as `as_seen` gives them from what is rebuilt of each."""
    apart = [
        np.asarray(perceptual_distance(extractor.maps(real[block]), extractor.maps(fake[block])))
        for block in _blocks(len(real), size)
    ]
    return np.concatenate(apart)


def waveforms(log_mels: np.ndarray, config: Config) -> np.ndarray:
    """Sound f32[n, samples] from log-mel f32[n, frames, mels, 1], by Griffin-Lim."""
    length, spec = config.data.audio.samples, config.model.log_mel
    rate = config.data.audio.sample_rate
    sounds = []
    with PhaseProgress("making sound from log-mel", "recordings", len(log_mels)) as progress:
        for mel in log_mels:
            sounds.append(log_mel_to_audio(mel, rate, spec.n_fft, spec.hop_length, spec.fmin, spec.fmax))
            progress.advance()
    return np.stack([np.pad(x, (0, max(length - len(x), 0)))[:length] for x in sounds]).astype("float32")


def _blocks(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
