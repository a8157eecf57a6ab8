"""Pictures of a request are counted by their headers before anything is decoded."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from picture_files import chunk, saved, with_chunks
from PIL import Image

from vqmm.serving.media import check_pixels
from vqmm.serving.refused import Refused

BLACK = (Path(__file__).parents[1] / "cases" / "v2_black_4000.png").read_bytes()


def _files(*files: bytes) -> np.ndarray:
    found = np.empty(len(files), object)
    found[:] = files
    return found


def test_pixels_count_together() -> None:
    check_pixels(_files(BLACK), 16_000_000, 16_000_000)
    with pytest.raises(Refused) as caught:
        check_pixels(_files(*[BLACK] * 32), 50_000_000, 16_000_000)
    assert caught.value.status == 413
    assert "512000000 pixels together; 16000000 is the most: send several requests" in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_one_picture_is_limited_too(kind: str) -> None:
    data = saved(Image.new("L", (30, 20)), kind)
    check_pixels(_files(data), 600, 600)
    for limits in ((599, 1_000), (1_000, 599)):
        with pytest.raises(Refused, match="picture 1 has 30 x 20 pixels; 599 is the most"):
            check_pixels(_files(b"no picture", data), *limits)


def test_a_large_text_hides_no_pixels() -> None:
    """Pillow refuses to open such a file: its pixels went uncounted."""
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21)))
    with pytest.raises(Refused, match="picture 0 has 4000 x 4000"):
        check_pixels(_files(with_chunks(BLACK, text)), 10_000, 10_000)
