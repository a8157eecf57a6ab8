"""From a checkpoint's weights to the model that a run leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vqmm.config import Config
from vqmm.models import VQVAE, Adversary, counts_codes, without_idle_codes
from vqmm.training.fine_fit import with_fine_codes


def finished(
    model: Any, config: Config, ahead: Callable[[], Iterable[Mapping[str, Any]]], say: Callable[[str], None]
) -> Any:
    """Takes averaged weights where there are some, leaves idle shared codes out and adds fine ones.

    Args:
        model: with the weights of the checkpoint that `train.model` names; they are changed.
        config: of the run.
        ahead: gives the batches that training would see next, where they are needed.
        say: shows a line.

    Returns:
        The model, or another one with the codes that are left.
    """
    if isinstance(model, Adversary):
        model.take_averages()
    if not isinstance(model, VQVAE):
        return model
    if config.loss.agreement and counts_codes(model):
        model = without_idle_codes(model)
        start, stop = model.quantizer.range_of("shared")
        say(f"{stop - start} of {config.model.quantizer.shared} shared codes are in use")
    elif config.loss.agreement:
        spec = config.model.quantizer
        say(f"idle shared codes stay: kind={spec.kind} with heads={spec.heads} is not one table of them")
    wanted, layout = config.model.quantizer.fine, config.model.layout
    if not wanted:
        return model
    each = model.quantizer.part("shared").codes_per_token
    if layout != "slots" or each > 1:
        say(f"no fine codes: they are for slots of one code each; layout={layout}, {each} codes a token")
        return model
    return with_fine_codes(model, ahead(), wanted, config.seed)
