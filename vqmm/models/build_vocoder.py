"""From a config to a vocoder."""

from __future__ import annotations

import keras

from vqmm.config import Config
from vqmm.config import Vocoder as Spec
from vqmm.errors import UserError
from vqmm.models.build import log_mel_of
from vqmm.models.vocoder import Vocoder
from vqmm.networks import SoundDiscriminator, WaveDecoder


def build_vocoder(config: Config) -> Vocoder:
    """Builds the vocoder that a config describes, with fresh weights that depend on its seed alone.

    Raises:
        UserError: no `vocoder` section, or settings that cannot work together.
    """
    if config.vocoder is None:
        raise UserError("this config has no vocoder section; start from --config digits-vocoder")
    spec, schedule = config.vocoder, config.schedule
    keras.utils.set_random_seed(config.seed)
    log_mel = log_mel_of(config)
    try:
        return Vocoder(
            log_mel,
            _decoder(spec, log_mel.hop_length, config.seed),
            _critics(config, spec),
            adversarial={
                **config.loss.adversarial.model_dump(),
                "discriminator_from": schedule.discriminator_from,
                "from_step": schedule.adversarial_from,
                "ramp": schedule.adversarial_ramp,
            },
            windows=spec.windows,
            segment=spec.segment,
            samples=config.data.audio.samples,
            seed=config.seed,
            name="vocoder",
        )
    except ValueError as error:
        raise UserError(f"vocoder: {error}") from None


def _decoder(spec: Spec, hop_length: int, seed: int) -> WaveDecoder:
    return WaveDecoder(
        hop_length,
        spec.n_fft,
        finer=spec.finer,
        dim=spec.dim,
        depth=spec.depth,
        fine_dim=spec.fine_dim,
        fine_depth=spec.fine_depth,
        kernel=spec.kernel,
        seed=seed,
        name="decoder",
    )


def _critics(config: Config, spec: Spec) -> dict[str, SoundDiscriminator]:
    if not spec.judged:
        return {}
    critic = config.model.discriminator
    made = SoundDiscriminator(
        spec.judged, critic.filters, critic.norm, config.seed, name="audio_discriminator"
    )
    return {"audio": made}
