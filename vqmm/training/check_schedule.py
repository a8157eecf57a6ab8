"""Checks that all that a config schedules happens within the steps of its run."""

from __future__ import annotations

from vqmm.config import Config
from vqmm.errors import UserError


def check_schedule(config: Config) -> None:
    """Refuses a run that ends before something begins that the config asks for. Quick.

    Raises:
        UserError: naming the key, the steps of the run, and how to mend it.
    """
    schedule, train = config.schedule, config.train
    steps = train.steps
    if has_codes(config) and steps <= schedule.quantize_from:
        raise UserError(
            f"train.steps={steps} ends the run before its codes start: schedule.quantize_from="
            f"{schedule.quantize_from}, and until then the codebook is random. Set train.steps above "
            f"{schedule.quantize_from}, better to twice as many, or schedule.quantize_from below {steps}"
        )
    if acting_discriminators(config) and steps <= schedule.adversarial_from:
        raise UserError(
            f"train.steps={steps} ends the run before its discriminators act on the generator: "
            f"schedule.adversarial_from={schedule.adversarial_from}. Set train.steps above "
            f"{schedule.adversarial_from}, or schedule.adversarial_from below {steps}; without "
            f"discriminators, {_switch_off(config)}"
        )
    added = steps - train.continued_from
    if train.continued_from and train.continuation == "warmup" and added <= train.warmup_steps:
        raise UserError(
            f"train.continuation=warmup, and the {added} steps added to {train.continued_from} end before "
            f"the learning rate has risen: train.warmup_steps={train.warmup_steps}. Set train.steps above "
            f"{train.continued_from + train.warmup_steps}, or train.continuation=constant"
        )
    if steps <= train.warmup_steps:
        raise UserError(
            f"train.steps={steps} ends the run before the learning rate has risen: train.warmup_steps="
            f"{train.warmup_steps}. Set train.warmup_steps below {steps}, or train.steps above "
            f"{train.warmup_steps}"
        )


def unfinished_ramps(config: Config) -> list[str]:
    """Lists what reaches only a part of its weight within the run, a sentence each."""
    schedule, loss = config.schedule, config.loss
    ramps = []
    if acting_discriminators(config):
        ramps.append(("adversarial_ramp", schedule.adversarial_from, "the adversarial loss"))
    if has_codes(config) and (loss.code_matching or loss.cross_commitment):
        ramps.append(("align_ramp", schedule.quantize_from, "code matching and cross commitment"))
    if _is_autoencoder(config) and config.model.kind == "vae" and loss.kl:
        ramps.append(("kl_ramp", 0, "the KL term"))
    found = []
    for key, start, what in ramps:
        length, left = getattr(schedule, key), config.train.steps - start
        if length > left:
            found.append(
                f"{what} will reach {left / length:.0%} of its weight: schedule.{key}={length}, and "
                f"{left} steps are left for it"
            )
    return found


def has_codes(config: Config) -> bool:
    """Returns whether a run of this config trains a model with codes."""
    return _is_autoencoder(config) and config.model.kind != "vae"


def acting_discriminators(config: Config) -> bool:
    """Returns whether discriminators are to change what a run of this config trains."""
    if config.vocoder is not None:
        trained = bool(config.vocoder.judged)
    else:
        trained = _is_autoencoder(config) and config.model.kind == "vqgan"
    return trained and bool(config.loss.adversarial.weight or config.loss.adversarial.feature_matching)


def _is_autoencoder(config: Config) -> bool:
    return config.prior is None and config.vocoder is None


def _switch_off(config: Config) -> str:
    if config.vocoder is not None:
        return "set vocoder.judged=[]"
    return "set loss.adversarial.weight=0 and loss.adversarial.feature_matching=0, or take model.kind=vqvae"
