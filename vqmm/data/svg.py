"""SVG drawings, where cairosvg and the system library cairo are installed."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from vqmm.errors import UnreadableFile
from vqmm.extras import missing_extra


def render_svg(path: Path, side: int) -> Image.Image:
    """Renders a drawing, its transparent parts kept. Nothing outside the file is fetched.

    Args:
        path: the SVG file.
        side: width of the rendering in pixels; the height follows the drawing's shape.

    Returns:
        An RGBA picture.

    Raises:
        UnreadableFile: where cairosvg or libcairo2 is not there, or the drawing
            declares XML entities, which are never expanded.
    """
    raw = path.read_bytes()
    if b"<!ENTITY" in raw:  # can be made to expand without end
        raise UnreadableFile(path, "declares XML entities; save the drawing as plain SVG, or as PNG")
    try:
        import cairosvg
    except (ImportError, OSError) as error:  # OSError: the package is there, the system's libcairo is not
        reason = missing_extra("svg", "SVG", error)
        raise UnreadableFile(
            path, f"{reason} and apt-get install libcairo2, or convert the drawing to PNG"
        ) from None
    png = cairosvg.svg2png(bytestring=raw, output_width=side, unsafe=False)
    return Image.open(io.BytesIO(png), formats=("PNG",))
