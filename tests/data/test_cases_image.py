"""The pictures of tests/cases come out right at each door: prepare, the service, an exported graph."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from vqmm.config import Config, ImageSpec
from vqmm.data.workers import encode_file
from vqmm.export.picture_input import picture_reader
from vqmm.serving.media import MediaReader
from vqmm.serving.refused import Refused
from vqmm.serving.settings import Settings

CASES = Path(__file__).parents[1] / "cases"
SPEC = ImageSpec(height=48, width=48, channels=3)
TRIMMED = ImageSpec(height=32, width=32, channels=1, trim=True, background="dark", stretch=True)
Door = Callable[[str, ImageSpec], np.ndarray]

# File, twin with the right pixels, levels of 255 that they may differ by on average and at most.
SAME = [
    ("s05_o3.jpg", "s05_up.jpg", 0.1, 2),  # turned and saved anew: JPEG rounds
    ("s05_o6.jpg", "s05_up.jpg", 0.1, 2),
    ("s06_c_rgb_key.png", "s06_a_rgba.png", 0.01, 1),
    ("s06_d_l_key.png", "s06_a_rgba.png", 0.01, 1),
    ("s06_g_16bit_key.png", "s06_a_rgba.png", 0.1, 1),
    ("s07_cmyk_adobe.jpg", "s07_srgb.png", 1.0, 16),  # saved as JPEG: noise at edges
    ("s07_cmyk_plain.jpg", "s07_srgb.png", 1.0, 16),
]
# By a profile that a graph cannot apply: it refuses them by name.
PROFILED = [
    ("s07_p3.png", "s07_srgb.png", 1.0, 24),  # colours outside P3's 8 bits were clipped when it was made
    ("s07_swap_profile.png", "s07_srgb.png", 1.0, 6),
]


def _prepare(name: str, spec: ImageSpec) -> np.ndarray:
    data = Config.model_validate({"name": "cases", "data": {"image": spec.model_dump()}}).data
    record = encode_file(CASES / name, "image", data)
    assert record.reason is None
    pixels = np.asarray(Image.open(io.BytesIO(record.data)), np.float32)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _service(name: str, spec: ImageSpec) -> np.ndarray:
    config = Config.model_validate({"name": "cases", "data": {"image": spec.model_dump()}})
    return MediaReader(config, Settings()).read((CASES / name).read_bytes(), "image")[0] * 255


@pytest.fixture(scope="module")
def graph() -> Door:
    files = [tf.TensorSpec((None,), tf.string)]
    readers = {
        spec: tf.function(picture_reader(spec), input_signature=files, autograph=False)
        for spec in (SPEC, TRIMMED)
    }
    return lambda name, spec: readers[spec]([(CASES / name).read_bytes()])[0].numpy() * 255


@pytest.fixture(params=["prepare", "service", "graph"])
def door(request: pytest.FixtureRequest) -> Door:
    doors = {"prepare": _prepare, "service": _service}
    return request.getfixturevalue("graph") if request.param == "graph" else doors[request.param]


def _alike(found: np.ndarray, expected: np.ndarray, mean: float, most: float) -> None:
    difference = np.abs(found - expected)
    assert difference.mean() <= mean + 1e-4 and difference.max() <= most + 1e-3


@pytest.mark.parametrize("name, twin, mean, most", SAME)
@pytest.mark.parametrize("spec", [SPEC, TRIMMED], ids=["plain", "trimmed"])
def test_a_picture_is_its_twin(
    door: Door, name: str, twin: str, mean: float, most: float, spec: ImageSpec
) -> None:
    _alike(door(name, spec), _prepare(twin, spec), mean, most)


@pytest.mark.parametrize("name, twin, mean, most", PROFILED)
@pytest.mark.parametrize("read", [_prepare, _service])
def test_a_profile_is_applied(read: Door, name: str, twin: str, mean: float, most: float) -> None:
    _alike(read(name, SPEC), _prepare(twin, SPEC), mean, most)


@pytest.mark.parametrize("name", [name for name, *_ in PROFILED])
def test_a_graph_refuses_a_profile_by_name(graph: Door, name: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"colour profile \(ICC\).*other than sRGB"):
        graph(name, SPEC)


@pytest.mark.parametrize("name", ["s08_d_ztxt2m.png", "s08_e_iccp2m.png"])
def test_large_metadata_costs_no_picture(door: Door, name: str) -> None:
    """The same pixels without any chunk but the needed ones, by Pillow."""
    data = (CASES / name).read_bytes()
    place, parts = 8, [data[:8]]
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] in (b"IHDR", b"IDAT", b"IEND"):
            parts.append(data[place : place + 12 + size])
        place += 12 + size
    picture = Image.open(io.BytesIO(b"".join(parts))).convert("RGB")
    spec = ImageSpec(height=picture.height, width=picture.width, channels=3)
    if door in (_prepare, _service):
        np.testing.assert_allclose(door(name, spec), np.asarray(picture), atol=1e-3)
    else:
        _alike(door(name, SPEC), _prepare(name, SPEC), 0.01, 1)


@pytest.mark.parametrize("spec", [SPEC, TRIMMED], ids=["plain", "trimmed"])
def test_a_large_scan_is_reduced_alike(door: Door, spec: ImageSpec) -> None:
    """3000 x 2200 pixels: as prepared; on average as light as what Pillow makes of it in one step."""
    with Image.open(CASES / "v3_scan3000.png") as scan:
        fit = scan.convert("RGB").resize((48, round(48 * 2200 / 3000)), Image.Resampling.BOX)
    found = door("v3_scan3000.png", spec)
    _alike(found, _prepare("v3_scan3000.png", spec), 0.01, 1)
    if spec is SPEC:
        top = (48 - fit.height) // 2
        np.testing.assert_allclose(found[top : top + fit.height].mean(), np.asarray(fit).mean(), atol=1)


def test_sixteen_million_pixels_are_read(door: Door) -> None:
    assert door("v2_black_4000.png", SPEC).max() == 0


def test_a_request_of_many_large_pictures_is_refused_before_it_is_decoded(graph: Door) -> None:
    data = (CASES / "v2_black_4000.png").read_bytes()
    read = picture_reader(SPEC)
    with pytest.raises(tf.errors.InvalidArgumentError, match="(?s)512000000.*16000000 is the most"):
        read(tf.constant([data] * 32))
    config = Config.model_validate({"name": "cases"})
    with pytest.raises(Refused, match="is the most"):
        MediaReader(config, Settings(pixels=1_000_000)).read(data, "image")
