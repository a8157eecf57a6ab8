"""Inspects the installation: versions, devices, decoders, extras, and what each verb is missing."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from vqmm.extras import CORE, EXTRAS, WHOLE, missing_packages


class Installation(NamedTuple):
    """What was found.

    Attributes:
        versions: of Python, vqmm and the packages of the core, by name.
        devices: that TensorFlow sees.
        decoders: by what they decode, in words.
        extras: packages that are missing, by extra.
        verbs: what does not work and the command that mends it, by verb; none where all works.
        faults: why a package of the core does not load, by its name on PyPI.
    """

    versions: dict[str, str]
    devices: list[str]
    decoders: dict[str, str]
    extras: dict[str, list[str]]
    verbs: dict[str, list[str]]
    faults: dict[str, str]

    @property
    def works(self) -> bool:
        """Whether all packages of the core load."""
        return not self.faults


def inspect_installation(verbs: Iterable[str]) -> Installation:
    """Inspects this installation. Packages of the core are imported, those of extras looked for.

    Args:
        verbs: whose missing parts are listed.
    """
    faults = {package: reason for module, package in CORE.items() if (reason := _fault(module))}
    extras = {name: missing_packages(name) for name in EXTRAS}
    if not extras["svg"] and (reason := _fault("cairosvg")):  # the system's cairo library is not there
        extras["svg"] = [f"cairo, of the system: apt-get install libcairo2 ({reason})"]
    return Installation(
        versions=_versions(),
        devices=[] if "tensorflow" in faults else _devices(),
        decoders=_decoders(faults),
        extras=extras,
        verbs={verb: _missing_parts(verb, extras) for verb in verbs},
        faults=faults,
    )


def _fault(module: str) -> str:
    """Returns why a module does not load, `""` where it does or has no package for this Python."""
    if module == "tensorflow_io":  # every use of it has a fallback, and it has no wheel for Python 3.13
        return ""
    try:
        importlib.import_module(module)
    except Exception as error:  # packages raise nearly anything
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return ""


def _versions() -> dict[str, str]:
    found = {"Python": f"{platform.python_version()} on {platform.platform()}"}
    for name in ("vqmm", *CORE.values()):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _devices() -> list[str]:
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device) if device.device_type == "GPU" else {}
        found.append(
            f"{device.name.removeprefix('/physical_device:')} {details.get('device_name', '')}".strip()
        )
    return found


def _decoders(faults: dict[str, str]) -> dict[str, str]:
    found = {}
    if "tensorflow" not in faults and "soundfile" not in faults:
        from vqmm.data.flac_decoder import flac_decoder

        chosen = flac_decoder()
        found["FLAC in shards"] = f"{chosen.name}: {chosen.reason}"
    if "soundfile" not in faults:
        import soundfile

        known = soundfile.available_formats()
        formats = [name for name in ("WAV", "FLAC", "MP3", "OGG") if name in known]
        found["recordings"] = f"{', '.join(formats)}, by libsndfile {soundfile.__libsndfile_version__}"
    if "pillow" not in faults:
        from PIL import Image

        from vqmm.data.read_image import IMAGE_FORMATS

        Image.init()
        formats = [name for name in IMAGE_FORMATS if name in Image.OPEN]
        found["pictures"] = f"{', '.join(formats)}, by Pillow {Image.__version__}"
    return found


def _missing_parts(verb: str, extras: dict[str, list[str]]) -> list[str]:
    """Lists what of a verb does not work, and how to mend it."""
    return [
        f"{_lost(extra.parts[verb])}: pip install 'vqmm[{name}]'"
        for name, extra in EXTRAS.items()
        if verb in extra.parts and extras[name]
    ]


def _lost(part: str) -> str:
    return "does not run" if part == WHOLE else f"runs, but not {part}"
