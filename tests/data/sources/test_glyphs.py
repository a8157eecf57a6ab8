"""Letters and digits: what is written, and what the splits keep apart."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vqmm.data.sources.glyphs import FONTS, SIGNS, family, write_glyphs
from vqmm.errors import UserError


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    manifest = write_glyphs(tmp_path_factory.mktemp("glyphs"), 3, limit=400)
    return list(csv.DictReader(manifest.read_text(encoding="utf-8").splitlines()))


def test_each_split_has_every_sign_on_both_sides(rows):
    for split in ("train", "validation", "test"):
        for side in ("audio", "image"):
            assert {r["label"] for r in rows if r["split"] == split and r[side]} == set(SIGNS)


def test_no_voice_and_no_family_of_fonts_is_in_two_splits(rows):
    voices, fonts = {}, {}
    for row in rows:
        where, name = (voices, row["voice"]) if row["audio"] else (fonts, family(Path(row["font"])))
        where.setdefault(name, set()).add(row["split"])
    assert voices and fonts
    assert all(len(splits) == 1 for splits in (*voices.values(), *fonts.values()))
    assert set(fonts) == {name for names in FONTS.values() for name in names}


def test_pictures_are_ink_on_dark_each_drawn_anew(rows, tmp_path):
    folder = write_glyphs(tmp_path, 4, limit=108).parent
    files = sorted((folder / "images").glob("*.png"))
    pictures = [np.asarray(Image.open(file)) for file in files]
    assert all(p.shape == (40, 40) and p[0].max() < 128 < p.max() for p in pictures)
    assert len({p.tobytes() for p in pictures}) == len(pictures)
    with pytest.raises(UserError, match="at least 108"):
        write_glyphs(tmp_path, 4, limit=100)


def test_signs_are_even_and_the_seed_decides(rows, tmp_path):
    counts = Counter(r["label"] for r in rows if r["image"])
    assert len(set(counts.values())) == 1
    one, two = (write_glyphs(tmp_path / name, 5, limit=108).parent for name in "ab")
    for file in sorted((one / "images").iterdir())[::97]:
        assert file.read_bytes() == (two / "images" / file.name).read_bytes()
