"""How close the sound of several voices is to recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vqmm.evaluation.extractors import Extractor, scaled
from vqmm.metrics import bootstrap_figure, frechet_distance
from vqmm.metrics.bootstrap import Figure
from vqmm.metrics.fidelity import MOST_DB, si_sdr
from vqmm.metrics.frame_lines import frame_lines
from vqmm.metrics.frechet import RESAMPLES
from vqmm.metrics.interval_items import for_covariance, too_few
from vqmm.metrics.mel_distance import multiscale_mel_distance

LOUD_ENOUGH = 1e-8  # mean square of a recording that can be compared sample by sample


def voices_section(
    recordings: np.ndarray,
    labels: np.ndarray,
    sounds: Mapping[str, np.ndarray],
    extractor: Extractor,
    log_mel: Any,
    rows: np.ndarray,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Figures of each voice, beside those of the first one.

    Args:
        recordings: f32[n, samples], what the Fréchet distance is measured from.
        labels: i[n], -1 unknown; what the extractor was not taught is left out of `recognised`.
        sounds: by voice f32[rows, samples], what became of the recordings in `rows`.
        extractor: of sound, see `fit_extractors`.
        log_mel: layer from waveforms to log-mel.
        rows: of `recordings`.
        resamples, seed: of the intervals.

    Returns:
        By voice `mel_distance`, `frechet`, `si_sdr` (dB; it asks for the phase, which a log-mel does not
        hold), `frame_lines` (dB) and, with labels, `recognised`; `mel_gain` and `frechet_gain` tell how
        much nearer than the first voice it is, with intervals over the same clips for both. `real` has
        what can be said of the recordings in `rows` alone.
    """

    def seen(audio: np.ndarray) -> np.ndarray:
        return scaled(np.concatenate([np.asarray(log_mel(part)) for part in np.array_split(audio, 16)]))

    real, known = extractor.features(seen(recordings)), np.isin(labels[rows], extractor.labels)
    rate, original = log_mel.sample_rate, recordings[rows]
    heard = np.square(original, dtype="float64").mean(axis=1) > LOUD_ENOUGH  # silence has no ratio

    def figure(values: np.ndarray) -> dict[str, Any]:
        return bootstrap_figure(values, resamples=resamples, seed=seed).to_json()

    section: dict[str, Any] = {}
    first: tuple[np.ndarray, np.ndarray] | None = None
    for name, audio in {"real": original, **sounds}.items():
        items = seen(audio)
        features = extractor.features(items)
        found: dict[str, Any] = {"frechet": frechet_distance(real, features, seed=seed).to_json()}
        if extractor.kind == "labels" and known.any():
            right = extractor.probabilities(items).argmax(1) == labels[rows]
            found["recognised"] = figure(right[known].astype("float64"))
        if heard.any():
            found["frame_lines"] = figure(frame_lines(audio, log_mel.hop_length)[heard])
        if name != "real":
            distance = multiscale_mel_distance(original, audio, rate)
            found["mel_distance"] = figure(distance)
            if heard.any():
                found["si_sdr"] = figure(np.clip(si_sdr(original, audio)[heard], -MOST_DB, MOST_DB))
            first = first or (distance, features)
            found["mel_gain"] = figure(first[0] - distance)
            found["frechet_gain"] = _frechet_gain(real, first[1], features, seed).to_json()
        section[name] = found
    return section


def _frechet_gain(real: np.ndarray, first: np.ndarray, other: np.ndarray, seed: int) -> Figure:
    """How much nearer to `real` the second set is, over the same clips drawn anew for both."""

    def gain(rows: Any) -> float:
        one, two = (frechet_distance(real, side[rows], resamples=0).value for side in (first, other))
        return one - two

    rng, count = np.random.default_rng(seed), len(first)
    note = too_few(min(len(real), count), for_covariance(real.shape[1]))
    if note:
        return Figure(gain(slice(None)), None, count, note=note)
    drawn = [gain(rng.integers(count, size=count)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Figure(gain(slice(None)), (float(low), float(high)), count)
