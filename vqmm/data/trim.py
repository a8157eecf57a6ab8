"""Finds the sound in a recording and cuts away the quiet before and after it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]

FRAME_SECONDS = 0.020
HOP_SECONDS = 0.010
SMOOTH_FRAMES = 3
MARGIN_SECONDS = 0.050  # kept on either side: soft onsets and releases lie below any threshold
RUMBLE_HZ = 150.0  # mains hum, handling and ventilation lie below; speech and most sounds reach above
STEADY_DB = 3.0  # frames this close to the floor belong to a steady background
STEADY_SHARE = 0.20  # so many of them make it one
ABOVE_FLOOR_DB = 4.0
BLIP_SECONDS = 0.080  # a click, smeared by frame and smoothing, is active for no longer
BLIP_GAP_SECONDS = 0.200  # and stands this far off the sound


def trim_silence(audio: Audio, sample_rate: int, trim_db: float) -> Audio:
    """Cuts quiet, hiss, hum and lone clicks before and after the sound.

    A frame (20 ms, power smoothed over 40 ms, rumble below 150 Hz left out)
    counts as sound when it is above ``peak - trim_db``, where peak is the
    loudest frame, and, where the recording has a steady background, also at
    least 4 dB above that background. Active stretches of under 80 ms that stand
    200 ms or more off any longer one are clicks and do not count. 50 ms are
    kept on either side; the samples themselves are not changed.

    Args:
        audio: f32[n].
        sample_rate: in Hz.
        trim_db: how far below the loudest frame sound may lie; 0 keeps everything.

    Returns:
        f32[m], a slice of `audio`; all of it where nothing stands out.
    """
    return audio[sound_slice(audio, sample_rate, trim_db)]


def sound_slice(audio: Audio, sample_rate: int, trim_db: float) -> slice:
    """Finds where the sound of a recording lies; arguments as of `trim_silence`, which cuts it out."""
    everything = slice(0, audio.size)
    if trim_db <= 0 or audio.size == 0:
        return everything
    hop = max(1, round(HOP_SECONDS * sample_rate))
    frame = max(1, round(FRAME_SECONDS * sample_rate))
    level = _levels(audio, sample_rate, frame, hop)
    active = level > _threshold(level, trim_db)
    active = _without_blips(active)
    where = np.flatnonzero(active)
    if where.size == 0:
        return everything
    margin = round(MARGIN_SECONDS * sample_rate)
    begin = max(0, int(where[0]) * hop - margin)
    end = min(audio.size, int(where[-1]) * hop + frame + margin)
    return slice(begin, end)


def _levels(audio: Audio, sample_rate: int, frame: int, hop: int) -> npt.NDArray[np.float64]:
    """Level of each frame in dB."""
    padded = audio.size + sample_rate // 2  # silence between end and beginning, which the filter joins
    spectrum = np.fft.rfft(audio, padded)
    frequency = np.fft.rfftfreq(padded, 1 / sample_rate)
    spectrum *= np.clip(frequency / RUMBLE_HZ - 0.5, 0.0, 1.0)  # ramp from 75 to 225 Hz: no ringing
    power = np.fft.irfft(spectrum, padded)[: audio.size].astype(np.float64) ** 2
    total = np.concatenate([[0.0], np.cumsum(power)])
    begin = np.arange(0, audio.size, hop)
    mean = (total[np.minimum(begin + frame, audio.size)] - total[begin]) / frame
    weights = np.ones(SMOOTH_FRAMES) / SMOOTH_FRAMES
    smooth = np.convolve(mean, weights)[SMOOTH_FRAMES // 2 :][: mean.size]
    return 10 * np.log10(np.maximum(smooth, 1e-12))


def _threshold(level: npt.NDArray[np.float64], trim_db: float) -> float:
    threshold = float(level.max()) - trim_db
    floor = float(np.percentile(level, 10))
    # Speech that fills a clip has quiet frames too, but they scatter; a background does not.
    steady = np.mean(np.abs(level - floor) < STEADY_DB) >= STEADY_SHARE
    if steady and floor + ABOVE_FLOOR_DB < level.max():
        threshold = max(threshold, floor + ABOVE_FLOOR_DB)
    return threshold


def _without_blips(active: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    runs = edges.reshape(-1, 2)
    long = (runs[:, 1] - runs[:, 0]) * HOP_SECONDS > BLIP_SECONDS
    if not long.any():
        return active
    kept = np.zeros_like(active)
    for begin, end in runs:
        gap = np.maximum(runs[long, 0] - end, begin - runs[long, 1]).min()  # negative: it is a long one
        if gap * HOP_SECONDS < BLIP_GAP_SECONDS:
            kept[begin:end] = True
    return kept
