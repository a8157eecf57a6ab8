from __future__ import annotations

import numpy as np
import tensorflow as tf

from vqmm.config import AudioAugment
from vqmm.data.augment_audio import augment_audio
from vqmm.data.draws import item_seeds

RATE, SAMPLES, CLIPS = 8_000, 8_192, 64
TIME = np.arange(SAMPLES) / RATE
EVERYTHING = AudioAugment(
    shift=0.1,
    gain_db=6,
    speed=0.2,
    warp=0.2,
    tilt_db=10,
    reverb=0.5,
    telephone=0.5,
    noise=0.7,
    noise_snr_db=(0, 30),
    time_mask=0.1,
    band_mask=0.2,
    trimmed=0.8,
)


def seeds_of(count: int = CLIPS, step: int = 0) -> np.ndarray:
    return item_seeds(11, step, count)[:, :2]


def augmented(clips: np.ndarray, seeds: np.ndarray | None = None, **terms) -> np.ndarray:
    seeds = seeds_of(len(clips)) if seeds is None else seeds
    run = tf.function(lambda audio, keys: augment_audio(audio, keys, AudioAugment(**terms), RATE))
    return run(tf.constant(clips, tf.float32), tf.constant(seeds)).numpy()


def speechlike(count: int = CLIPS, level: float = 0.1) -> np.ndarray:
    """Noise in the middle half of the clip."""
    noise = np.random.default_rng(0).normal(size=(count, SAMPLES)) * level
    noise[:, : SAMPLES // 4] = noise[:, -SAMPLES // 4 :] = 0
    return noise.astype("float32")


def decibels(ratio: np.ndarray) -> np.ndarray:
    return 10 * np.log10(ratio)


def test_everything_off_changes_nothing():
    clips = speechlike(4)
    np.testing.assert_array_equal(augmented(clips), clips)


def test_everything_on_is_finite_and_in_range_also_for_silence():
    clips = np.concatenate([speechlike(6, 0.3), np.zeros((1, SAMPLES)), np.ones((1, SAMPLES))])
    out = augmented(clips, **EVERYTHING.model_dump())
    assert out.shape == clips.shape
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1
    assert not out[6].any()  # silence has no level that noise could be so far below


def test_the_seed_decides_alone():
    clips = speechlike(8)
    terms = EVERYTHING.model_dump()
    out = augmented(clips, **terms)
    np.testing.assert_array_equal(augmented(clips, **terms), out)
    other = augmented(clips, seeds_of(8, step=1), **terms)
    assert (np.abs(other - out).max(axis=1) > 1e-3).all()
    # Alone, and in another place among other clips.
    order = [3, 0, 5]
    np.testing.assert_allclose(augmented(clips[order], seeds_of(8)[order], **terms), out[order], atol=1e-5)


def test_a_term_leaves_the_draws_of_the_others_alone():
    clips = speechlike(8)
    gains = augmented(clips, gain_db=6)
    both = augmented(clips, gain_db=6, shift=0.05)
    loudness = [np.sum(x**2, axis=1) for x in (gains, both)]
    np.testing.assert_allclose(*loudness, rtol=1e-3)


def test_shift_moves_a_click_either_way_within_its_range():
    clips = np.zeros((CLIPS, SAMPLES))
    clips[:, SAMPLES // 2 - 8 : SAMPLES // 2 + 9] = np.hanning(17)
    moved = (np.argmax(augmented(clips, shift=0.1), axis=1) - SAMPLES // 2) / RATE
    assert np.abs(moved).max() <= 0.1 + 2 / RATE
    assert moved.min() < -0.07
    assert moved.max() > 0.07
    assert abs(moved.mean()) < 0.03


def test_speed_changes_all_frequencies_by_one_factor():
    fade = np.hanning(SAMPLES)
    low, high = 400.0, 1_500.0
    clips = np.tile(
        0.3 * fade * (np.sin(2 * np.pi * low * TIME) + np.sin(2 * np.pi * high * TIME)), (CLIPS, 1)
    )
    spectrum = np.abs(np.fft.rfft(augmented(clips, speed=0.25) * fade, 8 * SAMPLES))
    hertz = np.fft.rfftfreq(8 * SAMPLES, 1 / RATE)
    peaks = []
    for start, stop in ((250, 700), (1_000, 2_200)):
        band = (hertz > start) & (hertz < stop)
        peaks.append(hertz[band][np.argmax(spectrum[:, band], axis=1)])
    factors = np.stack(peaks) / [[low], [high]]
    np.testing.assert_allclose(factors[0], factors[1], rtol=0.004)
    assert factors[1].min() >= 1 / 1.25 - 0.003
    assert factors[1].max() <= 1.25 + 0.003
    assert factors[1].min() < 0.87
    assert factors[1].max() > 1.15


def test_interpolation_is_clean():
    clips = np.tile(0.5 * np.sin(2 * np.pi * 700 * TIME), (16, 1))
    for out in augmented(clips, speed=0.2):
        inside = out[SAMPLES // 8 : -SAMPLES // 8]
        spectrum = np.abs(np.fft.rfft(inside * np.blackman(len(inside)))) ** 2
        peak = int(np.argmax(spectrum))
        tone = spectrum[peak - 6 : peak + 7].sum()
        assert decibels((spectrum.sum() - tone) / tone) < -35


def test_warp_changes_the_speed_within_a_clip():
    clips = np.tile(0.5 * np.sin(2 * np.pi * 1_000 * TIME), (16, 1))
    out = augmented(clips, warp=0.2)
    # Zero crossings count the cycles of each eighth, which is one stretch.
    stretches = out.reshape(16, 8, -1)
    hertz = (np.diff(np.signbit(stretches), axis=2) != 0).sum(2) / 2 / (SAMPLES / 8 / RATE)
    inner = hertz[:, 1:-1]  # the outer ones may lie beyond the clip's ends
    assert inner.min() > 1_000 / 1.2 - 15
    assert inner.max() < 1_000 * 1.2 + 15
    assert inner.std(axis=1).mean() > 40


def test_gain_is_within_its_range_and_overdrive_is_limited():
    clips = speechlike(CLIPS, level=0.01)
    gain = decibels(np.sum(augmented(clips, gain_db=12) ** 2, 1) / np.sum(clips**2, 1))
    assert np.abs(gain).max() <= 12.01
    assert gain.min() < -9
    assert gain.max() > 9
    ratios = augmented(clips, gain_db=12) / np.where(clips == 0, 1, clips)
    inside = ratios[:, SAMPLES // 4 : -SAMPLES // 4]
    np.testing.assert_allclose(inside, inside[:, :1] * np.ones_like(inside), rtol=1e-3)
    loud = np.tile(np.sin(2 * np.pi * 500 * TIME), (CLIPS, 1))
    power = np.mean(augmented(loud, gain_db=20) ** 2, axis=1)
    assert power.max() < 0.5 * 1.4**2  # of a sine of peak 1.4, before it is cut off


def test_noise_has_the_ratio_asked_for_to_the_active_part():
    clips = speechlike()
    for wanted in (0.0, 20.0):
        noise = augmented(clips, noise=1.0, noise_snr_db=(wanted, wanted)) - clips
        signal = np.mean(clips[:, SAMPLES // 4 : -SAMPLES // 4] ** 2, axis=1)
        got = decibels(signal / np.mean(noise**2, axis=1))
        assert abs(got.mean() - wanted) < 0.3
        assert np.abs(got - wanted).max() < 2  # hum beats slowly


def test_noise_comes_in_colours_and_with_its_probability():
    clips = speechlike(256)
    noise = augmented(clips, noise=0.6, noise_snr_db=(10, 10)) - clips
    noisy = np.abs(noise).max(axis=1) > 1e-3
    assert abs(noisy.mean() - 0.6) < 0.12  # 4 standard errors
    power = np.abs(np.fft.rfft(noise[noisy], axis=1)) ** 2
    bass = power[:, : SAMPLES // 16].sum(1) / power.sum(1)  # below 500 Hz; 1/8 if white
    assert bass.min() < 0.2
    assert bass.max() > 0.9


def band_power(out: np.ndarray, low: float, high: float) -> np.ndarray:
    hertz = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    power = np.abs(np.fft.rfft(out, axis=1)) ** 2
    return power[:, (hertz >= low) & (hertz < high)].mean(axis=1)


def test_telephone_keeps_the_middle_of_the_band_alone():
    clips = speechlike()
    out = augmented(clips, telephone=1.0)
    middle = band_power(out, 500, 2_500)
    assert decibels(band_power(out, 20, 90) / middle).max() < -25
    assert decibels(band_power(out, 3_950, 4_000) / middle).max() < 0
    assert np.median(decibels(band_power(out, 3_900, 4_000) / middle)) < -20
    assert decibels(band_power(out, 500, 1_000) / band_power(out, 1_500, 2_500)).std() < 1
    some = np.abs(augmented(clips, telephone=0.5) - clips).max(axis=1) > 1e-3
    assert 0.2 < some.mean() < 0.8


def test_tilt_colours_but_keeps_the_energy():
    clips = speechlike()
    out = augmented(clips, tilt_db=8)
    np.testing.assert_allclose(np.sum(out**2, 1), np.sum(clips**2, 1), rtol=0.02)
    response = decibels(
        np.stack(
            [band_power(out, f, f + 150) / band_power(clips, f, f + 150) for f in range(100, 3_900, 150)]
        )
    )
    swing = response.max(axis=0) - response.min(axis=0)
    assert swing.max() < 2 * 8 * 1.5 + 2
    assert np.median(swing) > 4
    slope = response[-3:].mean(axis=0) - response[:3].mean(axis=0)
    assert slope.min() < -3
    assert slope.max() > 3


def test_band_mask_silences_one_band_of_the_mel_axis():
    clips = speechlike()
    hertz = np.fft.rfftfreq(SAMPLES, 1 / RATE)
    mel = np.log10(1 + hertz / 700) / np.log10(1 + RATE / 2 / 700)
    kept = np.abs(np.fft.rfft(augmented(clips, band_mask=0.3), axis=1)) ** 2
    before = np.abs(np.fft.rfft(clips, axis=1)) ** 2
    widths = []
    for one, other in zip(kept, before, strict=True):
        # Sums over a 60th of the axis each.
        shares = [
            one[c].sum() / other[c].sum() for c in (np.floor(mel * 60) == n for n in range(60)) if c.any()
        ]
        silent = np.flatnonzero(decibels(np.array(shares)) < -25)
        widths.append(len(silent) / 60)
        assert len(silent) == 0 or np.ptp(silent) == len(silent) - 1  # one piece
    assert max(widths) <= 0.3
    assert max(widths) > 0.15


def test_reverberation_follows_the_sound_and_fades():
    clips = np.zeros((CLIPS, SAMPLES))
    clips[:, 1_000] = 0.5
    out = augmented(clips, reverb=1.0)
    assert np.abs(out[:, :1_000]).max() < 1e-5  # nothing before
    direct, echo = out[:, 1_000] ** 2, np.sum(out[:, 1_001:] ** 2, axis=1)
    ratio = decibels(direct / echo)
    assert ratio.min() > -3.1
    assert ratio.max() < 12.1
    assert np.ptp(ratio) > 10
    np.testing.assert_allclose(direct + echo, 0.25, rtol=1e-3)
    # Schroeder's backward integral: seconds from -5 to -25 dB, times 3.
    fading = decibels(np.cumsum(out[:, 1_001:][:, ::-1] ** 2, axis=1)[:, ::-1] / echo[:, None] + 1e-9)
    seconds = 3 * ((fading > -25).sum(axis=1) - (fading > -5).sum(axis=1)) / RATE
    assert seconds.min() > 0.07
    assert seconds.max() < 0.75
    assert np.ptp(seconds) > 0.3


def test_time_mask_silences_one_stretch_no_longer_than_asked():
    clips = np.full((CLIPS, SAMPLES), 0.5)
    out = augmented(clips, time_mask=0.2)
    lengths = []
    for clip in out:
        silent = np.flatnonzero(clip < 1e-6)
        lengths.append(len(silent) / RATE)
        assert len(silent) == 0 or np.ptp(silent) == len(silent) - 1
    assert max(lengths) <= 0.2 + 1 / RATE
    assert max(lengths) > 0.15
    assert np.abs(np.diff(out, axis=1)).max() < 0.02  # soft edges


def test_room_and_noise_end_with_a_trimmed_recording():
    clips = speechlike(256)
    loud = {"noise": 1.0, "noise_snr_db": (10, 20), "reverb": 1.0}
    begin, end = SAMPLES // 4, 3 * SAMPLES // 4  # of the sound
    reach = int(0.255 * RATE) + 1  # overhang and soft edge
    cut = augmented(clips, **loud, trimmed=1.0)
    assert not cut[:, : begin - reach].any() and not cut[:, end + reach :].any()
    whole = augmented(clips, **loud)
    np.testing.assert_array_equal(cut[:, begin:end], whole[:, begin:end])
    overhang = np.array([end_of(clip) - end for clip in cut])
    assert overhang.min() >= 0 and overhang.max() > 0.8 * reach and np.median(overhang) < reach / 2

    some = augmented(clips, **loud, trimmed=0.5)
    untouched = (some == whole).all(axis=1)
    assert 0.35 < untouched.mean() < 0.65
    np.testing.assert_array_equal(some[~untouched], cut[~untouched])


def end_of(clip: np.ndarray) -> int:
    return int(np.flatnonzero(clip)[-1]) + 1
