"""Makes a clean recording sound as if taken elsewhere: room, line, noise, rate and level."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.signal
import soxr

RATES = (8_000, 11_025, 16_000, 22_050, 44_100)


class Recording(NamedTuple):
    """f32[samples] in -1..1 and its rate in Hz."""

    samples: np.ndarray
    rate: int


def degrade(clip: Recording, rng: np.random.Generator) -> Recording:
    """Draws a room, a telephone line (one in three), noise, a level and a sample rate.

    Silence of 0-0.4 s is put before and after, so that noise is heard alone too.
    The reverberation lasts 0.1-0.5 s, the noise is white to brown at 10-35 dB
    below the speech, with mains hum now and then, and the rate is one of `RATES`.
    """
    samples, rate = np.asarray(clip.samples, np.float64), clip.rate
    pads = (rng.uniform(0.0, 0.4, size=2) * rate).astype(int)
    samples = np.pad(samples, tuple(pads))
    if rng.uniform() < 0.7:
        samples = _room(samples, rate, rng)
    line = rng.uniform() < 1 / 3
    new_rate = 8_000 if line else int(rng.choice(RATES))
    samples = soxr.resample(samples, rate, new_rate)
    if line:
        samples = _telephone(samples, new_rate)
    samples = samples + _noise(samples, new_rate, rng)
    peak = np.abs(samples).max()
    level = 10 ** (rng.uniform(-26, -1) / 20)
    return Recording((samples * (level / max(peak, 1e-9))).astype(np.float32), new_rate)


def change_speed(clip: Recording, factor: float) -> Recording:
    """Plays `factor` times as fast: pitch and formants go up by as much, as in a shorter vocal tract."""
    return Recording(soxr.resample(clip.samples, clip.rate * factor, clip.rate), clip.rate)


def _room(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    seconds = rng.uniform(0.1, 0.5)  # until 60 dB down
    times = np.arange(int(seconds * rate)) / rate
    tail = rng.normal(size=len(times)) * 10 ** (-3 * times / seconds)
    tail[: int(0.004 * rate)] = 0.0
    response = tail * (10 ** (rng.uniform(-14, -2) / 20) / max(float(np.linalg.norm(tail)), 1e-9))
    response[0] = 1.0
    return scipy.signal.fftconvolve(samples, response)


def _telephone(samples: np.ndarray, rate: int) -> np.ndarray:
    band = scipy.signal.butter(4, (300, 3400), "bandpass", fs=rate, output="sos")
    samples = scipy.signal.sosfilt(band, samples)
    scaled = samples / max(np.abs(samples).max(), 1e-9)
    compressed = np.sign(scaled) * np.log1p(255 * np.abs(scaled)) / np.log(256)  # mu-law, 8 bits
    compressed = np.round(compressed * 127) / 127
    return np.sign(compressed) * np.expm1(np.abs(compressed) * np.log(256)) / 255


def _noise(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(rng.normal(size=len(samples)))
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    spectrum /= np.maximum(frequencies, 30) ** rng.uniform(0.0, 1.0)
    noise = np.fft.irfft(spectrum, len(samples))
    noise /= max(noise.std(), 1e-12)
    if rng.uniform() < 0.3:
        mains = rng.choice((50, 60)) * np.arange(1, 4)[:, None] * np.arange(len(samples)) / rate
        noise += (np.sin(2 * np.pi * mains) * rng.uniform(0, 1, size=(3, 1))).sum(axis=0)
    loud = np.sort(samples**2)[len(samples) // 2 :].mean()  # of the louder half: the speech
    return noise * np.sqrt(loud * 10 ** (-rng.uniform(10, 35) / 10))
