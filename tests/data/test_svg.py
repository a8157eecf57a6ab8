"""SVG through cairosvg, which stands in here: its system library is not everywhere."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from vqmm.config import ImageSpec
from vqmm.data.read_image import load_image
from vqmm.errors import UnreadableFile

SPEC = ImageSpec(height=20, width=20, channels=3)
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="8"/>'


def _svg(folder: Path, text: str = DRAWING, name: str = "a.svg") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["a.svg", "a.SVG", "drawing"])
def test_a_drawing_is_rendered_large_safely_and_laid_over_white(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def svg2png(bytestring: bytes, output_width: int, unsafe: bool) -> bytes:
        assert bytestring == DRAWING.encode() and output_width >= 512 and not unsafe
        picture = Image.new("RGBA", (output_width, 2 * output_width), (0, 0, 0, 0))
        picture.paste((250, 0, 0, 255), (output_width // 4, output_width // 2, output_width, output_width))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()

    monkeypatch.setitem(sys.modules, "cairosvg", SimpleNamespace(svg2png=svg2png))
    framed = load_image(_svg(tmp_path, name=name), SPEC)
    assert framed[1, 10].tolist() == [255, 255, 255] and framed[7, 11].tolist() == [250, 0, 0]


def test_without_cairosvg_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    with pytest.raises(UnreadableFile, match=r"cairosvg, which .*vqmm\[svg\]' and apt-get install libcairo2"):
        load_image(_svg(tmp_path), SPEC)


def test_entities_are_never_expanded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE svg [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;">]><svg><text>&b;</text></svg>'
    with pytest.raises(UnreadableFile, match="declares XML entities"):
        load_image(_svg(tmp_path, bomb), SPEC)
