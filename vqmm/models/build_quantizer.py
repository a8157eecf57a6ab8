"""From a config to the quantizer of its codes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from vqmm.config import Config
from vqmm.config import Quantizer as Spec
from vqmm.errors import UserError
from vqmm.quantizers import (
    FSQ,
    GroupedQuantizer,
    JointQuantizer,
    LookupFree,
    ProjectedQuantizer,
    Quantizer,
    ResidualQuantizer,
    SimVQ,
    VectorQuantizer,
)


def build_quantizer(config: Config) -> Quantizer:
    """One table in ranges where all codes are of the plain kind, else a quantizer for each range.

    Raises:
        UserError: for settings that cannot work together; it names them and the remedy.
    """
    spec, seed = config.model.quantizer, config.seed
    sizes = {"shared": spec.shared, "image": spec.image, "audio": spec.audio}
    sizes = {name: size for name, size in sizes.items() if size}
    if config.loss.paired_ema and (spec.kind, spec.shared_update) != ("nearest", "ema"):
        raise UserError(
            f"loss.paired_ema={config.loss.paired_ema} moves codes by averages, and model.quantizer has "
            f"kind={spec.kind}, shared_update={spec.shared_update}; set them to nearest and ema, "
            "or paired_ema to 0"
        )
    _check_used(spec)
    plain = spec.kind == spec.private_kind == "nearest"
    if plain and not spec.lookup_dim and spec.heads == spec.private_residual == 1:
        rules = {name: spec.shared_update if name == "shared" else spec.update for name in sizes}
        return _nearest(sizes, spec.dim, rules, spec, seed)
    try:
        parts = {
            name: _part(name, size, spec, seed + 97 * place)
            for place, (name, size) in enumerate(sizes.items())
        }
        return JointQuantizer(parts, name="quantizer")
    except ValueError as error:
        raise UserError(f"model.quantizer: {error}") from None


def _part(name: str, size: int, spec: Spec, seed: int) -> Quantizer:
    if name == "shared":
        kind, levels, rule = spec.kind, spec.shared_levels, spec.shared_update
        parts = spec.heads
    else:
        kind, levels, rule = spec.private_kind, spec.private_levels, spec.update
        parts = spec.private_residual
    stretch = spec.dim // spec.heads if name == "shared" else spec.dim
    if spec.dim % spec.heads or size % parts:
        raise UserError(
            f"model.quantizer: {size} codes of {name} in {parts} parts, dim={spec.dim} in "
            f"heads={spec.heads}: both must divide"
        )
    made = [
        _single(name, kind, size // parts, stretch, levels, rule, spec, seed + place)
        for place in range(parts)
    ]
    if name == "shared":
        made = [_widened(part, stretch, seed + place) for place, part in enumerate(made)]
        return made[0] if parts == 1 else GroupedQuantizer(made)
    # One projection around all levels: each refines what the one before has left.
    return _widened(made[0] if parts == 1 else ResidualQuantizer(made), stretch, seed)


def _widened(inner: Quantizer, dim: int, seed: int) -> Quantizer:
    return inner if inner.dim == dim else ProjectedQuantizer(inner, dim, seed)


def _check_used(spec: Spec) -> None:
    """Refuses settings that the chosen kinds would not read."""
    kinds = {"kind": spec.kind, "private_kind": spec.private_kind}
    if spec.lookup_dim and not {"nearest", "sim"} & set(kinds.values()):
        raise UserError(
            f"model.quantizer.lookup_dim={spec.lookup_dim} is for nearest and sim, and {kinds} look "
            "nothing up; leave it out"
        )
    for key, levels, kind in (
        ("shared_levels", spec.shared_levels, spec.kind),
        ("private_levels", spec.private_levels, spec.private_kind),
    ):
        if levels and kind != "fsq":
            raise UserError(
                f"model.quantizer.{key}={list(levels)} is for fsq, and the kind is {kind}; "
                "leave it out or take fsq"
            )


def _single(
    name: str, kind: str, size: int, dim: int, levels: tuple[int, ...], rule: str, spec: Spec, seed: int
) -> Quantizer:
    inner: Quantizer
    if kind == "nearest":
        inner = _nearest({"codes": size}, spec.lookup_dim or dim, {"codes": rule}, spec, seed)
    elif kind == "sim":
        inner = SimVQ(size, spec.lookup_dim or dim, spec.commitment, seed, estimator=spec.estimator)
    elif kind == "fsq":
        if math.prod(levels) != size or not levels:
            key = "shared_levels" if name == "shared" else "private_levels"
            raise UserError(
                f"model.quantizer.{key}={list(levels)} multiply to {math.prod(levels)}, and {name} has "
                f"{size} codes; for 256 codes take [8, 8, 4] or 240 and [8, 6, 5], for 1000 [8, 5, 5, 5]"
            )
        inner = FSQ(levels, estimator=spec.estimator)
    else:
        bits = size.bit_length() - 1
        if 2**bits != size:
            raise UserError(
                f"model.quantizer: {size} codes of {name} with {kind}: take a power of 2, as {2**bits}"
            )
        inner = LookupFree(
            bits, kind == "bsq", spec.entropy, commitment=spec.commitment, estimator=spec.estimator
        )
    return inner


def _nearest(
    sizes: dict[str, int], dim: int, rules: Mapping[str, str], spec: Spec, seed: int
) -> VectorQuantizer:
    return VectorQuantizer(
        sizes,
        dim,
        distance=spec.distance,
        update=rules,
        commitment=spec.commitment,
        decay=spec.decay,
        revive_below=spec.revive_below,
        seed=seed,
        estimator=spec.estimator,
        name="quantizer" if len(sizes) > 1 or "shared" in sizes else None,
    )
