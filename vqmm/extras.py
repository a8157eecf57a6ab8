"""What vqmm needs: the packages of its core, and those of each extra with the verbs that use them.

This is the one table of them. `vqmm doctor` prints it, errors about a missing package are written from
it, and tests hold it to `pyproject.toml` and to the imports of all modules.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from vqmm.errors import UserError

# The name on PyPI by the module that is imported, of what every installation has.
CORE: Mapping[str, str] = {
    "tensorflow": "tensorflow",
    "keras": "keras",
    "tensorflow_io": "tensorflow-io",  # not on Python 3.13: it has no wheel there
    "librosa": "librosa",
    "numpy": "numpy",
    "scipy": "scipy",
    "soundfile": "soundfile",
    "soxr": "soxr",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "faiss": "faiss-cpu",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "yaml": "pyyaml",
    "rich": "rich",
    "matplotlib": "matplotlib",
    "jinja2": "jinja2",
    "threadpoolctl": "threadpoolctl",
    "joblib": "joblib",
    "filelock": "filelock",
    "lazy_loader": "lazy-loader",
}


class Extra(NamedTuple):
    """An optional part of vqmm, installed by `pip install 'vqmm[NAME]'`.

    Attributes:
        packages: the names on PyPI by the module that is imported.
        parts: what of a verb needs it, by the verb; none where it serves Python alone.
    """

    packages: Mapping[str, str]
    parts: Mapping[str, str]


WHOLE = "the whole verb"  # in `Extra.parts`: nothing of the verb runs without the extra

EXTRAS: Mapping[str, Extra] = {
    "digits": Extra({"espeakng_loader": "espeakng-loader"}, {"prepare": "--source digits and glyphs"}),
    "logging": Extra({"tensorboard": "tensorboard"}, {"train": "TensorBoard's event files"}),
    "svg": Extra({"cairosvg": "cairosvg"}, {"prepare": "SVG drawings", "query": "SVG drawings"}),
    "milvus": Extra({"pymilvus": "pymilvus", "milvus_lite": "milvus-lite"}, {}),
    "export": Extra(
        {
            "tensorflow_serving": "tensorflow-serving-api",
            "grpc": "grpcio",
            "ai_edge_litert": "ai-edge-litert",
            "ai_edge_quantizer": "ai-edge-quantizer",
        },
        {"export": "SavedModels, smaller LiteRT files and --verify"},
    ),
    "onnx": Extra(
        {"tf2onnx": "tf2onnx", "onnx": "onnx", "onnxruntime": "onnxruntime"}, {"export": "--formats onnx"}
    ),
    "serve": Extra(
        {
            "fastapi": "fastapi",
            "starlette": "starlette",
            "uvicorn": "uvicorn",
            "prometheus_client": "prometheus-client",
            "httpx": "httpx",
            "google.protobuf": "protobuf",
        },
        {"serve": WHOLE},
    ),
    "app": Extra(
        {"gradio": "gradio", "fastapi": "fastapi", "uvicorn": "uvicorn", "markupsafe": "markupsafe"},
        {"app": WHOLE},
    ),
    "remote": Extra(
        {"upath": "universal-pathlib", "fsspec": "fsspec"},
        dict.fromkeys(("train", "evaluate", "index", "query", "tokenize", "compare"), "--data by URL"),
    ),
    "beam": Extra({"apache_beam": "apache-beam"}, {"prepare": "--runner beam", "tokenize": "--runner beam"}),
    "tfds": Extra(
        {"tensorflow_datasets": "tensorflow-datasets", "tensorflow_metadata": "tensorflow-metadata"},
        {"prepare": "--source tfds"},
    ),
    "completion": Extra({"shtab": "shtab"}, {"completion": WHOLE}),
}


def missing_packages(extra: str) -> list[str]:
    """Returns the names on PyPI of the packages of an extra that are not installed; imports none of them."""
    return [name for module, name in EXTRAS[extra].packages.items() if not is_installed(module)]


def is_installed(module: str) -> bool:
    """Returns whether a module is there to be imported, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that holds it is missing
        return False


@contextmanager
def requires_extra(extra: str, purpose: str) -> Iterator[None]:
    """Turns a failed import of an extra's packages inside the block into an error that says what to install.

    Args:
        extra: one of `EXTRAS`.
        purpose: what needs it, as the subject of a sentence with "needs".

    Raises:
        UserError: a package of the extra is missing, or does not load.
    """
    try:
        yield
    except (ImportError, OSError) as error:  # OSError: a library of the system is missing
        if (getattr(error, "name", None) or "").partition(".")[0] == "vqmm":
            raise
        raise UserError(missing_extra(extra, purpose, error)) from None


def missing_extra(extra: str, purpose: str, error: Exception) -> str:
    """Writes the message for an import that failed; see `requires_extra`."""
    command = f"pip install 'vqmm[{extra}]'"
    if isinstance(error, ModuleNotFoundError) and error.name:
        packages = EXTRAS[extra].packages
        package = packages.get(error.name) or packages.get(error.name.partition(".")[0], error.name)
        return f"{purpose} needs {package}, which is not installed: {command}"
    reason = " ".join(str(error).split())[:300]
    return f"{purpose} needs the extra {extra}, which does not load ({reason}); install it anew: {command}"
