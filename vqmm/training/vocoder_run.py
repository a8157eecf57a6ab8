"""A vocoder's run: what it is trained on, and whose log-mel it can speak."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vqmm.config import Config, Data, Model, load_config
from vqmm.errors import UserError
from vqmm.training.differences import differences
from vqmm.training.run_folder import RunFolder, open_run

if TYPE_CHECKING:
    from vqmm.voice import Voice


def vocoder_config(config: Config, tokenizer: str | Path | None = None) -> Config:
    """The config of a vocoder, with the spec of its tokenizer where it has one. Quick.

    Args:
        config: with a `vocoder` section.
        tokenizer: run folder in place of the one that the config names; the vocoder then learns
            from what it rebuilds, too.

    Raises:
        UserError: no run there or one without codes, or a log-mel that is not the tokenizer's.
    """
    if config.vocoder is None:
        raise UserError("this config has no vocoder section; start from --config digits-vocoder")
    folder = str(tokenizer or config.vocoder.tokenizer)
    if not folder:
        return config
    theirs = _config_of(folder, "--tokenizer")
    if theirs.prior is not None or theirs.vocoder is not None or theirs.model.kind == "vae":
        raise UserError(f"{folder} has no codes; give a run of a vqvae or vqgan with --tokenizer RUN")
    update: dict[str, object] = {"vocoder": config.vocoder.model_copy(update={"tokenizer": folder})}
    if config.data == Data():
        update["data"] = theirs.data
    if config.model.log_mel == Model().log_mel:
        update["model"] = config.model.model_copy(update={"log_mel": theirs.model.log_mel})
    config = config.model_copy(update=update)
    check_spec("this config", config, folder, theirs)
    if config.data.audio != theirs.data.audio:
        raise UserError(
            f"the config's data.audio is not that of the tokenizer {folder}; leave data out: "
            "a vocoder takes it from there"
        )
    return config


def check_vocoder(folder: str | Path, config: Config) -> None:
    """Refuses a run that cannot speak the log-mel of a tokenizer. Quick: TensorFlow is not needed.

    Args:
        folder: of the vocoder's run.
        config: of the tokenizer's run.

    Raises:
        UserError: no run, none of a vocoder, or one of another log-mel (with every difference).
    """
    theirs = _config_of(folder, "--vocoder")
    if theirs.vocoder is None:
        raise UserError(
            f"{folder} holds no vocoder; train one with --config digits-vocoder, or leave --vocoder out "
            "for Griffin-Lim"
        )
    check_spec(f"the vocoder {folder}", theirs, "the tokenizer", config)


def open_voice(folder: str | Path | None, config: Config) -> Voice | None:
    """The voice of a vocoder's run, for the log-mel of a tokenizer; None where no folder is given.

    Args:
        folder: of the vocoder's run.
        config: of the tokenizer's run.

    Raises:
        UserError: as `check_vocoder`.
    """
    if folder is None:
        return None
    check_vocoder(folder, config)
    from vqmm.voice import neural

    return neural(open_run(folder).model)


def check_spec(one: str | Path, config: Config, other: str | Path, theirs: Config) -> None:
    """Refuses two configs whose log-mel are not of one kind.

    Raises:
        UserError: naming every difference.
    """
    wrong = differences(_spec(theirs), _spec(config))
    if wrong:
        told = ", ".join(f"{d.key} {d.new!r} and not {d.old!r}" for d in wrong)
        raise UserError(
            f"{one} is of another log-mel than {other}: {told}; both need one spec: train a vocoder with it"
        )


def _spec(config: Config) -> dict[str, object]:
    rate = {"data.audio.sample_rate": config.data.audio.sample_rate}
    spec = config.model.log_mel.model_dump()
    spec["fmax"] = spec["fmax"] or config.data.audio.sample_rate / 2
    return rate | {f"model.log_mel.{key}": value for key, value in spec.items()}


def _config_of(folder: str | Path, option: str) -> Config:
    held = RunFolder(Path(folder)).config
    if not held.exists():
        raise UserError(f"{folder} holds no run: it has no {held.name}; give a run with {option} RUN")
    return load_config(held)
