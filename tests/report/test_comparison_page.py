import math
import re

import numpy as np

from vqmm.evaluation.comparison import Spread
from vqmm.metrics import Figure
from vqmm.report.comparison import render_comparison
from vqmm.report.gallery import Gallery, load_gallery, save_gallery

BOTH = ("code distance, audio to image", "code distance, image to audio")


def row(name, **more):
    figures = {figure: Spread(0.9, 0.85, 0.95, (0.85, 0.95)) for figure in BOTH}
    return {"what": name, "config": f"{name}.yaml", "figures": {**figures, **more}}


def test_every_config_has_a_column_with_its_figures():
    page = render_comparison(
        [
            row("<plain>", **{"seconds to quality": Spread(math.inf, 3.0, math.inf, (3.0, math.inf))}),
            row("other"),
        ],
        2,
        0.8,
    )
    assert "2 configs compared" in page and "Means of 2 seeds" in page and "mAP 0.8" in page
    assert "&lt;plain&gt;" in page and "<plain>" not in page
    assert page.count("<td>0.9 (0.85–0.95)</td>") == 4
    assert "<td>not reached</td><td>–</td>" in page


def test_one_seed_has_no_range_and_its_page_warns():
    page = render_comparison([row("alone")], 1, 0.9)
    assert "<title>One config</title>" in page and "differences of a few thousandths mean nothing" in page
    assert page.count("<td>0.9</td>") == 2


def test_differences_stand_in_a_table_of_their_own_and_sure_ones_stand_out():
    sure, open_ = Figure(0.02, (0.01, 0.03), 9), Figure(-0.5, (-1.0, 0.25), 9)
    rows = [
        {**row("<base>"), "differences": {}},
        {**row("more"), "differences": {BOTH[0]: sure, "picture PSNR, dB": open_}},
        {**row("less"), "differences": {BOTH[0]: open_}},
    ]
    page = render_comparison(rows, 2, 0.9, "<base>")
    assert "<h2>Against &lt;base&gt;</h2>" in page and "averaged over seeds" in page
    cells = re.findall(r'<td class="(\w*)">([^<]*)<', page)
    assert cells == [("sure", "+0.0200"), ("", "-0.5000"), ("", "-0.5000"), ("", "–")]
    assert "<small>-1.0000 to +0.2500</small>" in page
    assert "Against" not in render_comparison(rows[:1], 1, 0.9, "<base>")


def test_items_are_shown_beside_the_originals_and_a_gallery_reads_back(tmp_path):
    rng = np.random.default_rng(0)
    shapes = [(8, 6, 6, 1)] * 3 + [(3, 5, 4, 1)] * 3 + [(3, 100)] * 3
    gallery = Gallery(*(rng.uniform(size=shape).astype("float32") for shape in shapes))
    save_gallery(gallery, tmp_path / "gallery.npz")
    again = load_gallery(tmp_path / "gallery.npz")
    for one, other in zip(gallery, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    assert load_gallery(tmp_path / "absent.npz") is None
    page = render_comparison([{**row("plain"), "gallery": again, "sample_rate": 2000}, row("bare")], 1, 0.9)
    assert page.count('class="pixels"') == 3 * 8 and page.count("<audio") == 3 * 3
    assert page.index("<h3>original</h3>") < page.index("<h3>plain</h3>") and "<h3>bare</h3>" not in page
