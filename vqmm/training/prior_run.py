"""A prior's run: what it is built from, and how it is opened with its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqmm.config import Config, Data, Model, Prior, load_config
from vqmm.errors import UserError
from vqmm.tokens import check_fingerprint
from vqmm.training.run_folder import Run, RunFolder, open_run


@dataclass(frozen=True)
class PriorRun:
    """A prior and the tokenizer that it speaks the codes of.

    Attributes:
        run: of the prior.
        tokenizer: whose codebook the codes are of.
    """

    run: Run
    tokenizer: Run

    @property
    def spec(self) -> Prior:
        """The prior's section of its config."""
        return self.run.config.prior or Prior()


def prior_config(config: Config, tokenizer: str | Path | None = None) -> Config:
    """The config of a prior with its tokenizer's `data` and `model`. Quick: TensorFlow is not needed.

    Args:
        config: with a `prior` section.
        tokenizer: run folder in place of the one that the config names.

    Raises:
        UserError: no tokenizer, no run there or one without codes, or `data` or `model` that are
            not the tokenizer's.
    """
    if config.prior is None:
        raise UserError("this config has no prior section; start from --config digits-prior")
    folder = str(tokenizer or config.prior.tokenizer)
    if not folder:
        raise UserError("a prior needs the run of a tokenizer: give --tokenizer RUN, or prior.tokenizer")
    held = RunFolder(Path(folder)).config
    if not held.exists():
        raise UserError(
            f"{folder} holds no run: it has no {held.name}; give the tokenizer's run with --tokenizer RUN"
        )
    theirs = load_config(held)
    other = {"a prior": theirs.prior, "a vocoder": theirs.vocoder}
    kind = next((name for name, section in other.items() if section is not None), None)
    if kind is not None or theirs.model.kind == "vae":
        kind = kind or "a VAE, which has no codes"
        raise UserError(f"{folder} holds {kind}; give a run of a vqvae or vqgan with --tokenizer RUN")
    for name, plain in (("data", Data()), ("model", Model())):
        if getattr(config, name) not in (plain, getattr(theirs, name)):
            raise UserError(
                f"the config's {name} section is not that of the tokenizer {folder}; leave it out: "
                "a prior takes it from there"
            )
    prior = config.prior.model_copy(update={"tokenizer": folder})
    return config.model_copy(update={"data": theirs.data, "model": theirs.model, "prior": prior})


def open_prior(folder: str | Path, tokenizer: str | Path | None = None) -> PriorRun:
    """Opens the run of a prior and that of its tokenizer.

    Args:
        folder: of the prior's run.
        tokenizer: where the tokenizer's run lies now; None: where it lay in training.

    Raises:
        UserError: no such run, none of a prior, or a tokenizer of another codebook (both
            fingerprints named).
    """
    return with_tokenizer(open_run(folder), tokenizer)


def with_tokenizer(run: Run, tokenizer: str | Path | None = None) -> PriorRun:
    """As `open_prior`, of a run that is open."""
    if run.config.prior is None:
        raise UserError(
            f"{run.folder} holds a {type(run.model).__name__}, no prior; train one on it with "
            "--config digits-prior and --tokenizer"
        )
    where = tokenizer or run.config.prior.tokenizer
    if not RunFolder(Path(where)).config.exists():
        raise UserError(
            f"the tokenizer of {run.folder} was {where}, where no run is now; say where with --tokenizer RUN"
        )
    found = open_run(where, coded=True)
    check_codebook(run.model, found)
    return PriorRun(run, found)


def check_codebook(prior: Any, tokenizer: Run) -> None:
    """Refuses a tokenizer whose codes the prior does not know.

    Raises:
        UserError: naming both fingerprints.
    """
    from vqmm.encoding import codebook_fingerprint

    check_fingerprint("this prior", prior.fingerprint, codebook_fingerprint(tokenizer.model))
