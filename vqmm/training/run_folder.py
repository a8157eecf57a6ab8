"""The folder of a training run: its layout, who may write into it, and how to open it."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vqmm.atomic import replacing, write_atomic
from vqmm.config import Config, load_config, save_config
from vqmm.errors import UserError
from vqmm.lock import hold
from vqmm.tokens import check_fingerprint
from vqmm.training.check_schedule import check_schedule, has_codes
from vqmm.training.cluster import task_of
from vqmm.training.differences import Difference, differences

# What the same run may be continued with. `train.steps` may only grow; `train.continuation` says what
# becomes of the learning rate where the run has ended, and may change then alone.
CHANGEABLE = (
    "name",
    "data.cache_mib",
    "train.steps",
    "train.strategy",
    "train.devices",
    "train.tpu",
    "train.deterministic",
    "train.validate_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.early_stop",
    "train.model",
    "train.tensorboard",
    "evaluate",
    "prior.tokenizer",  # it may move; its codebook may not change
    "prior.sampling",
    "vocoder.tokenizer",
)


@dataclass(frozen=True)
class RunFolder:
    """Where things lie in a run folder.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The merged config of the run."""
        return self.path / "config.yaml"

    @property
    def data(self) -> Path:
        """Name and checksum of the data that the run is trained on."""
        return self.path / "data.json"

    @property
    def trained_items(self) -> Path:
        """Hashes of the items that the run is trained on."""
        return self.path / "trained_content.npy"

    @property
    def lock(self) -> Path:
        """Locked by the process that trains."""
        return self.path / "lock"

    @property
    def metrics(self) -> Path:
        """Figures, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def last(self) -> Path:
        """Checkpoints to continue from."""
        return self.path / "checkpoints" / "last"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation figure."""
        return self.path / "checkpoints" / "best"

    def weights(self, config: Config) -> list[Path]:
        """Where the run's model is taken from: the first folder that has a checkpoint."""
        order = [self.best, self.last]
        return order if config.train.model == "best" else order[::-1]

    @property
    def model(self) -> Path:
        """The finished model."""
        return self.path / "model.keras"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"


@dataclass(frozen=True)
class Run:
    """A trained model and where it came from.

    Attributes:
        config: that it was trained with.
        model: ready to encode and decode; a prior: to be drawn from; a vocoder: to make sound.
        folder: the run folder.
        step: steps that the weights have been trained for.
    """

    config: Config
    model: Any  # a PairAutoencoder, a Prior or a Vocoder
    folder: Path
    step: int


class Known(Protocol):
    """Data that has a name, a checksum and counts by split: a `Dataset`, or a folder of token files."""

    @property
    def name(self) -> str: ...

    @property
    def checksum(self) -> str: ...

    @property
    def counts(self) -> Any: ...


def identity(dataset: Known) -> dict[str, Any]:
    """What a run remembers of its data."""
    return {"name": dataset.name, "checksum": dataset.checksum, "counts": dataset.counts}


@contextlib.contextmanager
def create_run(folder: str | Path, config: Config, data: Mapping[str, Any]) -> Iterator[RunFolder]:
    """Makes a run folder, or takes up the run that is in it, and holds it for this process.

    Of several workers the chief alone gets it; each other one gets a folder that goes when it ends.

    Args:
        folder: made with its parents where it does not exist.
        config: saved as `config.yaml`. A run that is taken up must have the same,
            but for the keys in `CHANGEABLE`; one without a checkpoint has nothing to
            lose and begins anew.
        data: identity of the data set: at least `"checksum"`; `"name"` where known.

    Yields:
        The layout of the folder.

    Raises:
        UserError: the folder is in use, holds something else, or holds a run of
            another config or other data; lists what differs. Or the run would end
            before something begins that its config asks for.
    """
    check_schedule(config)
    if not task_of(config.train).chief:
        with tempfile.TemporaryDirectory() as scratch:
            yield RunFolder(Path(scratch))
        return
    run = RunFolder(Path(folder))
    _check_place(run)
    run.path.mkdir(parents=True, exist_ok=True)
    with hold(run.lock):
        if has_weights(run):
            check_same(run, config, data)
            config = continued_config(run, config, load_config(run.config))
        else:
            config = continued_config(run, config, None)
            write_atomic(run.data, json.dumps(dict(data), indent=2) + "\n")
        with replacing(run.config) as part:
            save_config(config, part)
        yield run


def check_run(folder: str | Path, config: Config, data: Mapping[str, Any]) -> None:
    """Raises what `create_run` would raise; changes nothing. Quick: TensorFlow is not needed."""
    check_schedule(config)
    if not task_of(config.train).chief:
        return
    run = RunFolder(Path(folder))
    _check_place(run)
    if run.path.is_dir():
        with hold(run.lock):
            if has_weights(run):
                check_same(run, config, data)


def check_same(
    run: RunFolder, config: Config, data: Mapping[str, Any], remedy: str = "Give another --run"
) -> list[Difference]:
    """Refuses a config or data that are not those of the run in a folder.

    Args:
        run: with a config.
        config, data: as for `create_run`.
        remedy: what the caller's options offer, told with a refusal.

    Returns:
        What differs and may: keys in `CHANGEABLE`.

    Raises:
        UserError: listing what differs and may not.
    """
    old = load_config(run.config)
    config = continued_config(run, config, old)
    found = differences(old.model_dump(mode="json"), config.model_dump(mode="json"))
    start = config.train.continued_from
    added = not start or start != old.train.continued_from
    refused = [d for d in found if not _may_change(d, added)]
    if refused:
        raise UserError(
            f"{run.path} holds a run of another config: {'; '.join(map(str, refused))}. {remedy}, or "
            f"take the config in {run.config}. Free to change: {', '.join(CHANGEABLE)} (steps may only grow; "
            f"train.continuation may change with them)"
        )
    before = json.loads(run.data.read_text(encoding="utf-8")) if run.data.exists() else {}
    if before and before.get("checksum") != data["checksum"]:
        raise UserError(
            f"{run.path} was trained on other data: "
            f"{'; '.join(map(str, differences(before, dict(data))))}. {remedy}, or take the same --data"
        )
    books = [known.get("tokenizer", {}).get("fingerprint") for known in (before, data)]
    if before and None not in books:
        check_fingerprint(run.path, *books)
    return found


def continued_config(run: RunFolder, config: Config, old: Config | None) -> Config:
    """The config with `train.continued_from` as the run has it, or gets it by added steps. Quick.

    Args:
        run: its folder.
        config: to train with.
        old: of the run so far; None where there is none.

    Raises:
        UserError: the config has another `train.continued_from`, or other workers could not know it.
    """
    start, given = 0, config.train.continued_from
    if old is not None:
        ended = (run.last / f"ckpt-{old.train.steps}.index").exists()
        start = (
            old.train.steps if ended and config.train.steps > old.train.steps else old.train.continued_from
        )
    if given == start:
        return config
    if given:
        raise UserError(
            f"train.continued_from={given}, and {run.path} goes on from {start or 'no finished run'}; leave "
            "the key out: the run folder sets it"
        )
    if task_of(config.train).count > 1:
        raise UserError(
            f"{run.path} adds steps to a finished run of {start}, which the other workers cannot see; give "
            f"all of them --set train.continued_from={start}"
        )
    return config.model_copy(update={"train": config.train.model_copy(update={"continued_from": start})})


def has_weights(run: RunFolder) -> bool:
    """Whether the run has got as far as a model or a checkpoint."""
    return run.model.exists() or any(run.path.glob("checkpoints/*/*.index"))


def open_run(folder: str | Path, coded: bool = False) -> Run:
    """Opens the model of a run.

    Takes `model.keras`; where training has not finished, the checkpoint that
    `train.model` names, else the other one.

    Args:
        folder: of the run.
        coded: whether the caller needs a model with codes.

    Raises:
        UserError: there is no such folder, no run in it, no weights yet, a damaged
            file, no codes where there must be some, or a model whose codes have not started.
    """
    run = RunFolder(Path(folder))
    if not run.path.is_dir():
        raise UserError(f"there is no run folder {run.path}; vqmm train --run {run.path} makes it")
    if not run.config.exists():
        raise UserError(
            f"{run.path} holds no run: it has no {run.config.name}; give a folder that train made"
        )
    config = load_config(run.config)
    if coded and config.prior is not None:
        raise UserError(f"{run.path} holds a prior; give the run of its tokenizer, {config.prior.tokenizer}")
    if coded and config.vocoder is not None:
        raise UserError(f"{run.path} holds a vocoder, which has no codes; give the run of a vqvae or vqgan")
    if coded and config.model.kind == "vae":
        raise UserError(f"{run.path} holds a VAE, which has no codes; give a run of a vqvae or vqgan")
    # Loaded late, so that a wrong path is told at once.
    from vqmm.training import model_file
    from vqmm.training.precision import precision

    if run.model.exists():
        with precision(config.train):  # for files of versions that did not state the dtype policy
            model = model_file.load_model(run.model)
    elif config.prior is not None:
        raise UserError(
            f"{run.path} holds a prior whose training has not ended; finish it with the command that began it"
        )
    else:
        model = model_file.model_from_checkpoint(config, run.weights(config))
    if has_codes(config) and not model.codes_started:
        raise UserError(_no_codes_yet(run, config, int(model.step)))
    return Run(config, model, run.path, int(model.step))


def _no_codes_yet(run: RunFolder, config: Config, step: int) -> str:
    start = config.schedule.quantize_from
    more = f" and --set train.steps={2 * start}" if config.train.steps <= start else ""
    return (
        f"{run.path} holds a model of step {step} whose codes have not started: schedule.quantize_from="
        f"{start}, and until then the codebook is random. Train it further with the command that began "
        f"it{more}, then try again"
    )


def _check_place(run: RunFolder) -> None:
    if run.path.exists() and not run.path.is_dir():
        raise UserError(f"{run.path} is a file; a run needs a folder: give another --run")
    if run.path.is_dir() and not run.config.exists():
        ours = {run.lock.name, run.data.name}
        other = sorted(p.name for p in run.path.iterdir() if p.name not in ours and p.suffix != ".part")
        if other:
            raise UserError(
                f"{run.path} is not empty and holds no run (found {', '.join(other[:3])}); "
                "give a new folder, so that nothing of yours is overwritten"
            )


def _may_change(difference: Difference, added: bool) -> bool:
    """Returns whether a run may go on with another value; `added`: steps are added to a finished run."""
    if difference.key == "train.steps":
        return difference.new > difference.old
    if difference.key in ("train.continued_from", "train.continuation"):
        return added
    return any(difference.key == key or difference.key.startswith(f"{key}.") for key in CHANGEABLE)
