"""Typed configuration: one YAML file describes data, model, losses and training.

`load_config` reads a file, follows its ``extends:``, applies ``--set a.b=c``
overrides and checks every key and type; `save_config` writes the merged result
into the run folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import pydantic
import yaml

from vqmm.config_file import override, read_tree
from vqmm.errors import UserError, nearest
from vqmm.sampling_limits import LIMITS
from vqmm.shipped_configs import find_config


class Section(pydantic.BaseModel):
    """A config section: unknown keys are errors, numbers are finite, values are immutable."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Fraction = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, pydantic.Field(ge=0.0)]
Positive = Annotated[float, pydantic.Field(gt=0.0)]
Count = Annotated[int, pydantic.Field(ge=1)]
CountOrZero = Annotated[int, pydantic.Field(ge=0)]


StoredAudio = Literal["wav", "flac"]


class AudioSpec(Section):
    """How a recording becomes an array: what `prepare` bakes into the shards."""

    sample_rate: Count = 16_000  # Hz
    samples: Count = 16_384  # length that the model sees, in samples at `sample_rate`
    trim_db: NonNegative = 0.0  # cut leading and trailing parts this far below the peak; 0 = keep
    max_seconds: Positive = 60.0  # longer files are refused
    stored_as: StoredAudio = "wav"  # in shards, 16 bit: wav is read faster, flac takes less disk


class ImageSpec(Section):
    """How a picture becomes an array: what `prepare` bakes into the shards."""

    height: Count = 64
    width: Count = 64
    channels: Literal[1, 3] = 3
    trim: bool = False  # cut a uniform border before resizing
    background: Literal["as-is", "dark", "light"] = "as-is"  # invert pictures whose border disagrees
    stretch: bool = False  # with dark or light: the border becomes black or white, the content full scale
    max_pixels: Count = 50_000_000  # larger pictures are refused before they are decoded


class Data(Section):
    audio: AudioSpec = AudioSpec()
    image: ImageSpec = ImageSpec()
    pair_by: Literal["item", "label"] = "item"  # what makes a recording and a picture a pair
    max_rejected: Fraction = 0.05  # `prepare` fails when more than this share of rows is bad
    records_per_shard: Count = 1024
    cache_mib: CountOrZero = 1024  # decoded data up to this size is kept in memory


class AudioAugment(Section):
    """Per clip, drawn anew at every step. 0 switches a term off."""

    shift: NonNegative = 0.0  # seconds, either way
    gain_db: NonNegative = 0.0  # dB, either way
    speed: Fraction = 0.0  # relative change of rate (and pitch), either way
    warp: Fraction = 0.0  # the same within a clip, stretch by stretch
    tilt_db: NonNegative = 0.0  # equaliser: random slope and ripple, dB
    reverb: Fraction = 0.0  # probability of a synthetic room
    telephone: Fraction = 0.0  # probability of a 300-3400 Hz band
    noise: Fraction = 0.0  # probability of added noise
    noise_snr_db: tuple[float, float] = (5.0, 40.0)  # signal-to-noise ratio drawn from this range
    trimmed: Fraction = 0.0  # probability that room and noise end about where the recording does
    time_mask: NonNegative = 0.0  # longest silenced stretch, seconds
    band_mask: Fraction = 0.0  # widest silenced band, share of the mel axis


class ImageAugment(Section):
    """Per picture, drawn anew at every step. 0 switches a term off."""

    rotate: NonNegative = 0.0  # degrees, either way
    scale: Fraction = 0.0  # relative, either way, each axis on its own
    shear: Fraction = 0.0
    shift: Fraction = 0.0  # share of the size, either way
    elastic: Fraction = 0.0  # local displacement, share of the size
    stroke: Fraction = 0.0  # strength of contrast steepening that thins or thickens strokes
    gamma: NonNegative = 0.0  # log2 range, either way
    noise: NonNegative = 0.0  # largest standard deviation
    blur: Fraction = 0.0  # probability
    flip: bool = False  # left-right


class Augment(Section):
    audio: AudioAugment = AudioAugment()
    image: ImageAugment = ImageAugment()


class LogMelSpec(Section):
    n_fft: Count = 1024
    hop_length: Count = 256
    mels: Count = 64
    fmin: NonNegative = 0.0  # Hz
    fmax: float | None = None  # Hz; None = half the sample rate


Kind = Literal["nearest", "sim", "fsq", "lfq", "bsq"]


class Quantizer(Section):
    """The joint codebook, `[shared | image | audio]`."""

    dim: Count = 64
    kind: Kind = "nearest"  # of the shared codes
    private_kind: Kind = "nearest"
    shared: Count = 256  # codes in the shared range
    image: CountOrZero = 256  # codes in the picture's private range; 0 = no private codes
    audio: CountOrZero = 256  # codes in the recording's private range
    fine: CountOrZero = 0  # of slots with one code: codes for what it leaves, to rank by; 256 take a byte
    shared_levels: tuple[int, ...] = ()  # of fsq: their product is the number of codes
    private_levels: tuple[int, ...] = ()
    lookup_dim: CountOrZero = 0  # of nearest and sim: codes are searched in so many dimensions; 0 = dim
    heads: Count = 1  # a slot's latent is cut in so many stretches, each with a share of the shared codes
    private_residual: Count = 1  # levels among which the private codes are divided
    estimator: Literal["straight_through", "rotation"] = "straight_through"  # of nearest and sim
    entropy: NonNegative = 0.1  # weight of the entropy loss of lfq and bsq
    distance: Literal["cosine", "euclidean"] = "cosine"
    update: Literal["ema", "gradient"] = "ema"
    shared_update: Literal["ema", "gradient"] = "gradient"
    commitment: NonNegative = 0.25
    decay: Annotated[float, pydantic.Field(gt=0.0, lt=1.0)] = 0.99
    revive_below: Fraction = 0.03  # share of tokens / codebook size


class Discriminator(Section):
    """Of a vqgan, one for each modality."""

    filters: tuple[int, ...] = (32, 64, 64)  # channels of each convolution; all but the last halve the grid
    norm: Literal["group", "batch"] = "group"
    audio_scales: Count = 2  # sizes at which a spectrogram is judged
    learning_rate: Positive = 5e-4


class Model(Section):
    kind: Literal["vqvae", "vqgan", "vae"] = "vqvae"
    layout: Literal["slots", "grid"] = "slots"  # how shared latents are laid out
    slots: Count = 8
    filters: tuple[int, ...] = (32, 64, 96)  # channels after each halving of the grid
    private_drop: Fraction = 0.3  # how often the decoder must do without private codes
    dropout: Fraction = 0.0  # in the head that makes the shared latents
    mean_normalised: bool = False  # the audio encoder also sees each mel band without its mean over time
    shared_gradient: Fraction = 0.0  # share of the reconstruction's gradient that reaches shared latents
    pixels: Literal["value", "categorical", "logistic"] = "value"  # what the picture decoder gives
    eight_bits: bool = False  # networks are trained with numbers rounded as those of an int8 export
    log_mel: LogMelSpec = LogMelSpec()
    quantizer: Quantizer = Quantizer()  # a vae takes its dim alone
    discriminator: Discriminator = Discriminator()


class Adversarial(Section):
    """What a vqgan's discriminators do to its generator."""

    kind: Literal["hinge", "nonsaturating"] = "hinge"
    weight: NonNegative = 0.8
    adaptive: bool = True  # scaled to the reconstruction's gradient at the decoder's last kernel
    most: Positive = 1e4  # largest adaptive weight
    feature_matching: NonNegative = 0.0
    lecam: NonNegative = 0.0  # regularisers of the discriminator
    r1: NonNegative = 0.0
    hold_above: Fraction = 0.95  # a discriminator with a higher accuracy waits for the generator
    hold_below: Fraction = 0.5  # one with a lower accuracy is not acted on
    average: Annotated[float, pydantic.Field(ge=0.0, lt=1.0)] = 0.999  # decay of decoders' averages; 0: none

    @pydantic.model_validator(mode="after")
    def _holds_apart(self) -> Self:
        if self.hold_below > self.hold_above:
            raise ValueError(
                f"hold_below={self.hold_below:g} is above hold_above={self.hold_above:g}, so that a "
                f"discriminator between them would neither learn nor be acted on; take {self.hold_above:g} "
                "or less, or a greater hold_above"
            )
        return self


class Loss(Section):
    """Weights; 0 switches a term off."""

    reconstruction: NonNegative = 1.0
    likelihood: NonNegative = 0.05  # in its place where model.pixels is a distribution: of nats a sample
    contrastive: NonNegative = 1.0  # InfoNCE on the shared latents
    swapped: NonNegative = 1.0  # swapped prediction with balanced (Sinkhorn) targets
    agreement: NonNegative = 0.0  # probability of equal codes, with an alphabet that finds its size
    code_matching: NonNegative = 0.0  # cross-modal code-distribution matching
    cross_commitment: NonNegative = 0.0
    paired_ema: Fraction = 0.0  # weight of the partner's latents in the EMA sums
    temperature: Positive = 0.1
    spread: Fraction = 0.95  # of agreement: worth of more codes in use; below 1 idle codes die out
    sinkhorn_epsilon: Positive = 0.05
    sinkhorn_rounds: Count = 3
    perceptual: NonNegative = 1.0  # of a vqgan's pictures
    features: str = "random"  # where: random, taught, vgg16, or a file (.h5 of VGG16, or .keras)
    multiresolution: NonNegative = 1.0  # of a vqgan's spectrograms
    adversarial: Adversarial = Adversarial()
    kl: NonNegative = 0.05  # of a vae: nats per element; 1 is the bound for errors of unit scale
    free_bits: NonNegative = 0.0  # nats that each latent of a vae may carry without cost


class Schedule(Section):
    """When the terms come in, in steps: alignment first, then codes."""

    quantize_from: CountOrZero = 300  # latents pass without codes before this; then k-means start
    align_ramp: CountOrZero = 0  # code_matching and cross_commitment grow over this many steps
    kmeans_batches: Count = 8
    discriminator_from: CountOrZero = 0  # a vqgan's discriminators learn from here,
    adversarial_from: CountOrZero = 500  # act on the generator from here,
    adversarial_ramp: CountOrZero = 200  # and reach their full weight over so many steps
    kl_ramp: CountOrZero = 500  # a vae's KL term grows over so many steps

    @pydantic.model_validator(mode="after")
    def _learns_before_it_acts(self) -> Self:
        if self.adversarial_from < self.discriminator_from:
            raise ValueError(
                f"adversarial_from={self.adversarial_from} is before "
                f"discriminator_from={self.discriminator_from}, when no discriminator has learned anything; "
                f"take {self.discriminator_from} or more"
            )
        return self


class Train(Section):
    steps: Count = 2000
    batch_size: Count = 128  # over all replicas
    accumulate: Count = 1  # steps whose gradients are averaged before the weights move; all else counts steps
    learning_rate: Positive = 2e-3
    warmup_steps: CountOrZero = 100
    # Of steps that are added to a finished run: its last rate; another warm-up and cosine; or one cosine
    # over all steps, to which the rate jumps up.
    continuation: Literal["constant", "warmup", "cosine"] = "constant"
    continued_from: CountOrZero = 0  # steps of that finished run; the run folder sets it
    clip_norm: Positive = 1.0
    weight_decay: NonNegative = 0.0
    strategy: Literal["one", "mirrored", "multi_worker", "tpu"] = "one"
    devices: tuple[str, ...] = ()  # for mirrored; empty = all that are visible
    tpu: str = "local"  # for tpu: its name or grpc address; local = the one of this machine
    mixed_precision: Literal[False, True, "bfloat16", "float16"] = (
        False  # true: bfloat16, where the cards have it
    )
    jit_compile: bool = False
    deterministic: bool = True
    validate_every: Count = 200  # steps
    validation_batch_size: Count = 256  # contrast and agreement depend on it, so that a run keeps it
    checkpoint_every: Count = 200  # steps
    keep_checkpoints: Count = 2
    early_stop: CountOrZero = 0  # validations without improvement; 0 = never
    monitor: str = "retrieval_map"  # validation figure that decides best and early stop; without pairs: loss
    model: Literal["best", "last"] = "best"  # which checkpoint becomes the run's model
    tensorboard: bool = True


class Evaluate(Section):
    batch_size: Count = 256
    bootstrap: Count = 1000  # resamples behind each 95 % interval
    max_items: Count = 2000  # per modality in retrieval; a seeded sample of larger splits
    examples: Count = 8
    generated: CountOrZero = 500  # items drawn to be judged; 0 = neither these nor distances in features


class Hiding(Section):
    """Which tokens a prior must guess in training; shares of the items, the rest is the plain case:
    shared codes known, private ones partly hidden."""

    single: Fraction = 0.5  # of pairs, shown with one modality alone
    lost: Fraction = 0.1  # all shared codes hidden: what guidance subtracts
    partial: Fraction = 0.1  # shared and private codes partly hidden, as in inpainting


def _limited(name: str) -> Any:
    """The field of a setting of sampling, with its limits."""
    low, high, above = LIMITS[name]
    return pydantic.Field(gt=low if above else None, ge=None if above else low, le=high)


Temperature = Annotated[float, _limited("temperature")]
Guidance = Annotated[float, _limited("guidance")]


class Sampling(Section):
    """How a prior draws, unless `generate` says otherwise."""

    steps: Count = 12  # of parallel decoding
    # One temperature or guidance for all, or one for each modality.
    temperature: Temperature | dict[Literal["image", "audio"], Temperature] = 1.0  # 0: greedy
    randomness: Annotated[float, _limited("randomness")] = 12.0  # of which tokens are settled first
    # weight w of (1 + w) conditional - w unconditional logits
    guidance: Guidance | dict[Literal["image", "audio"], Guidance] = 0.0
    top_k: CountOrZero = 0  # likeliest codes that may be drawn; 0 = all
    top_p: Annotated[float, _limited("top_p")] = 1.0  # their total probability, at the temperature
    retries: CountOrZero = 0  # an item is drawn anew while its shared codes are not found in it again


class Prior(Section):
    """Of a run that learns which codes go together; its `data` and `model` are the tokenizer's."""

    tokenizer: str = ""  # run folder of a vqvae or vqgan
    kind: Literal["masked", "autoregressive"] = "masked"
    dim: Count = 64
    depth: Count = 3  # blocks
    heads: Count = 4
    dropout: Fraction = 0.1
    label_smoothing: Fraction = 0.0
    labelled: Fraction = 0.1  # how often an item's label is given, where the data has labels
    hiding: Hiding = Hiding()
    sampling: Sampling = Sampling()


class Vocoder(Section):
    """Of a run that learns to turn log-mel into sound; its spec is `data.audio` and `model.log_mel`."""

    tokenizer: str = ""  # run folder; empty: it learns from the log-mel of recordings alone
    rebuilt: Fraction = 0.5  # share of clips whose log-mel the tokenizer has rebuilt
    finer: Count = 2  # frames of its spectrum for each log-mel frame
    n_fft: Count = 320  # of that spectrum; whole hops of log_mel.hop_length / finer
    dim: Count = 192
    depth: Count = 4  # blocks over log-mel frames
    fine_dim: Count = 128
    fine_depth: Count = 2  # blocks over the finer frames
    kernel: Count = 7  # frames that a block sees at once
    segment: CountOrZero = 24  # log-mel frames that a step cuts out of each clip; 0: all
    windows: tuple[Count, ...] = (64, 128, 256, 512, 1024)  # samples, of the loss's spectrograms
    judged: tuple[Count, ...] = (128, 512)  # samples, of the discriminators' spectra; none: no discriminator


class Config(Section):
    """Everything that decides a run. See `configs/` for files."""

    name: str = "vqmm"
    seed: CountOrZero = 0
    data: Data = Data()
    augment: Augment = Augment()
    model: Model = Model()
    loss: Loss = Loss()
    schedule: Schedule = Schedule()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    prior: Prior | None = None  # only where the run is that of a prior
    vocoder: Vocoder | None = None  # only where the run is that of a vocoder


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML config.

    Args:
        path: the file, or the name of a shipped config, as `"digits"`. An ``extends:`` names a base
            file, relative to it.
        overrides: ``"a.b=value"`` strings; the value is read as YAML.

    Returns:
        The merged, checked `Config`.

    Raises:
        UserError: for a file or name that does not exist, bad YAML, an unknown key or an ill-typed
            value; it names the key, the value, what is legal and the nearest key.
    """
    return check_config(override(read_tree(find_config(path)), overrides), str(path))


def check_config(tree: dict[str, Any], origin: str = "config") -> Config:
    """Checks a plain dict against the schema. Raises `UserError` naming `origin`."""
    try:
        return Config.model_validate(tree)
    except pydantic.ValidationError as error:
        raise UserError("; ".join(_explain(e, origin) for e in error.errors())) from None


def save_config(config: Config, path: str | Path) -> None:
    """Writes the merged config as YAML."""
    tree = config.model_dump(mode="json")
    Path(path).write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def _explain(error: Any, origin: str) -> str:
    path = [str(part) for part in error["loc"]]
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        section = _section(path[:-1])
        legal = list(section.model_fields) if section else []
        return (
            f"{origin}: unknown key {key!r} (value {error['input']!r}){nearest(path[-1], legal)}; "
            f"legal keys here: {', '.join(legal)}"
        )
    if error["type"] == "value_error":  # of a section's own check, which names its keys
        return f"{origin}: {key}: {error['ctx']['error']}"
    return f"{origin}: {key}={error['input']!r}: {error['msg']}"


def _section(path: list[str]) -> type[Section] | None:
    section: type[Section] = Config
    for part in path:
        field = section.model_fields.get(part)
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        inner = [k for k in kinds if isinstance(k, type) and issubclass(k, Section)]
        if not inner:
            return None
        section = inner[0]
    return section
