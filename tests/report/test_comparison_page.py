import math

from vqmm.evaluation.comparison import Spread
from vqmm.report.comparison import render_comparison

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
