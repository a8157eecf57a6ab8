"""A key of the config and the argument that it feeds have one default: read from the sources of vqmm."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest

from vqmm.config import Config, Sampling, Section
from vqmm.models import VAE, VQGAN, VQVAE
from vqmm.models.adversary import ADVERSARIAL
from vqmm.models.decoding import Settings

ROOT = Path(__file__).parents[1] / "vqmm"
# Arguments whose default means that there is none of it, where the config starts from a value of its own.
NEUTRAL = {
    ("ImageSpec.channels", "decode_image_record(channels)"): 0,  # as many as are stored
    ("AudioSpec.sample_rate", "TokenFile(sample_rate)"): None,  # there is no sound
    ("Schedule.kl_ramp", "VAE(kl_ramp)"): 0,  # a model that is built by hand has no schedule
    ("Model.slots", "Decoder(slots)"): 0,  # a grid
    ("Train.weight_decay", "ReplicaClippedAdam(weight_decay)"): None,  # as Keras says it
}


class Fed(NamedTuple):
    """An argument of a call in vqmm that is given the value of a key.

    Attributes:
        key: section and key, as `Quantizer.decay`.
        argument: as `VectorQuantizer(decay)`.
        of_key: the key's default.
        of_argument: the argument's default, `inspect.Parameter.empty` where it has none.
    """

    key: str
    argument: str
    of_key: Any
    of_argument: Any


def section_in(annotation: Any) -> type[Section] | None:
    """The section that a type is, or that an optional type may be."""
    found = [kind for kind in (annotation, *get_args(annotation)) if inspect.isclass(kind)]
    return next((kind for kind in found if issubclass(kind, Section)), None)


def resolved(node: ast.expr, names: dict[str, type[Section]]) -> tuple[type[Section] | None, str]:
    """The section that an expression leads to, and the key of it that the expression reads ("" for none)."""
    if isinstance(node, ast.Name):
        return names.get(node.id), ""
    if not isinstance(node, ast.Attribute):
        return None, ""
    if node.attr == "config":
        return Config, ""
    section, key = resolved(node.value, names)
    if section is None or key or node.attr not in section.model_fields:
        return None, ""
    inner = section_in(section.model_fields[node.attr].annotation)
    return (inner, "") if inner else (section, node.attr)


def names_in(function: ast.FunctionDef, module: Any) -> dict[str, type[Section]]:
    """Sections by the names of parameters and variables of a function."""
    names = {}
    for parameter in [*function.args.args, *function.args.kwonlyargs]:
        if parameter.annotation is not None and "|" not in ast.unparse(parameter.annotation):
            kind = getattr(module, ast.unparse(parameter.annotation), None)
            if inspect.isclass(kind) and issubclass(kind, Section):
                names[parameter.arg] = kind
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=True))
            for left, right in pairs:
                section, key = resolved(right, names)
                if isinstance(left, ast.Name) and section and not key:
                    names[left.id] = section
    return names


def chosen(node: ast.expr) -> list[ast.expr]:
    """Returns what an argument's value may be: both sides of a conditional, else the expression."""
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    return list(node.values) if isinstance(node, ast.BoolOp) else [node]


def parameters_of(target: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of a class or function of vqmm; none of anything else."""
    if not callable(target) or not str(getattr(target, "__module__", "")).startswith("vqmm."):
        return {}
    try:
        return inspect.signature(target).parameters
    except ValueError:  # a class that has its constructor from a builtin
        return {}


def fed_arguments() -> Iterator[Fed]:
    """Every argument that a call in vqmm gives the value of a key."""
    for path in sorted(ROOT.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "vqmm.config import" not in source:
            continue
        module = importlib.import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
        functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            names = names_in(function, module)
            for call in ast.walk(function):
                if isinstance(call, ast.Call):
                    yield from fed_by(call, getattr(module, ast.unparse(call.func), None), names)


def fed_by(call: ast.Call, target: Any, names: dict[str, type[Section]]) -> Iterator[Fed]:
    """The arguments of one call that are given the value of a key."""
    parameters = parameters_of(target)
    given = dict(zip(parameters, call.args, strict=False))
    given |= {word.arg: word.value for word in call.keywords if word.arg in parameters}
    for name, value in given.items():
        for part in chosen(value):
            section, key = resolved(part, names)
            if section and key:
                of_key, of_argument = section.model_fields[key].default, parameters[name].default
                yield Fed(f"{section.__name__}.{key}", f"{target.__name__}({name})", of_key, of_argument)


@pytest.fixture(scope="module")
def fed() -> list[Fed]:
    return list(dict.fromkeys(fed_arguments()))


def test_arguments_have_the_default_of_the_key_that_feeds_them(fed):
    differing = {
        (one.key, one.argument): one.of_argument
        for one in fed
        if one.of_argument is not inspect.Parameter.empty and one.of_argument != one.of_key
    }
    assert differing == NEUTRAL


def test_the_calls_that_build_a_model_are_found(fed):
    found = {(one.key, one.argument) for one in fed}
    assert {
        ("Quantizer.decay", "VectorQuantizer(decay)"),
        ("LogMelSpec.hop_length", "LogMel(hop_length)"),
        ("Vocoder.kernel", "WaveDecoder(kernel)"),
        ("Prior.heads", "Prior(heads)"),
        ("Train.clip_norm", "ReplicaClippedAdam(clip_norm)"),
    } <= found
    assert len(found) > 60


@pytest.mark.parametrize("model", [VAE, VQVAE, VQGAN])
def test_weights_of_a_model_are_those_of_the_config(model):
    loss = Config().loss
    assert dict(model.WEIGHTS) == {key: getattr(loss, key) for key in model.WEIGHTS}


def test_settings_of_discriminators_and_of_sampling_are_those_of_the_config():
    adversarial = Config().loss.adversarial.model_dump()
    assert {key: ADVERSARIAL[key] for key in adversarial} == adversarial
    assert Settings()._asdict() == Sampling().model_dump()
