"""Adding steps to a run that has ended, or that is still to end: what becomes of its learning rate."""

from __future__ import annotations

from pathlib import Path

from vqmm.atomic import replacing
from vqmm.config import Config, load_config
from vqmm.training.cluster import task_of
from vqmm.training.run_folder import RunFolder, continued_config, has_weights

MEANING = {
    "constant": "stays at {end:.3g}, that of its end",
    "warmup": "rises from {end:.3g} to {top:.3g} over train.warmup_steps={warmup} and falls again",
    "cosine": "jumps from {end:.3g} to {next:.3g}, that of one run of {steps} steps",
}


def continuation(folder: str | Path, config: Config) -> tuple[Config, str | None]:
    """Finds out what steps are added to, and what becomes of the learning rate.

    Args:
        folder: of the run, which may not exist yet.
        config: to train with.

    Returns:
        The config with `train.continued_from` as the run folder has it; and a sentence that is to be
        shown before training starts, None where no steps are added to the run.

    Raises:
        UserError: `train.continued_from` is not that of the run, or another worker could not know it.
    """
    run = RunFolder(Path(folder))
    if not task_of(config.train).chief:
        return config, None
    if not run.config.exists() or not has_weights(run):
        return continued_config(run, config, None), None
    old = load_config(run.config)
    config = continued_config(run, config, old)
    if config.train.steps <= old.train.steps:
        return config, None
    from vqmm.training.checkpoints import checkpoints_in, step_in_name
    from vqmm.training.optimizer import make_schedule

    added = f"train.steps grows from {old.train.steps} to {config.train.steps}"
    if config.train.continued_from == old.train.steps:
        end = float(make_schedule(old.train)(old.train.steps))
        told = MEANING[config.train.continuation].format(
            end=end,
            top=config.train.learning_rate,
            next=float(make_schedule(config.train)(old.train.steps)),
            warmup=config.train.warmup_steps,
            steps=config.train.steps,
        )
        others = ", ".join(name for name in MEANING if name != config.train.continuation)
        return config, (
            f"{added} after the run has ended: the learning rate {told} "
            f"(train.continuation={config.train.continuation}; else {others})"
        )
    newest = next(iter(checkpoints_in(run.last)), None)
    step = 0 if newest is None else step_in_name(newest)
    before, after = (float(make_schedule(c.train)(step)) for c in (old, config))
    if before == after:
        return config, None
    return config, (
        f"{added} before the run has ended: the learning rate at step {step} changes from {before:.3g} to "
        f"{after:.3g}, and follows the schedule of {config.train.steps} steps"
    )


def keep_former_model(run: RunFolder, config: Config, step: int) -> Path | None:
    """Keeps the model of a finished run beside the one that will replace it, where steps are added.

    Args:
        run: its folder.
        config: with `train.continued_from`.
        step: at which the run is.

    Returns:
        Where the former model is now; None where nothing is to be kept.

    Raises:
        UserError: the disk is full.
    """
    kept = run.model.with_name(f"{run.model.stem}-{step}{run.model.suffix}")
    if not step or step != config.train.continued_from or not run.model.exists() or kept.exists():
        return None
    try:
        kept.hardlink_to(run.model)  # takes no room: the model that comes is another file
    except OSError:  # a file system without hard links
        with replacing(kept) as part:
            part.write_bytes(run.model.read_bytes())
    return kept
