import html
import math
import re

import numpy as np

from vqmm.evaluation.compared_figures import FIGURES
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


def test_every_figure_has_its_unit_and_of_one_seed_its_interval():
    figures = {name: Spread(0.5, 0.5, 0.5, (0.5,), ((0.25, 0.75),)) for name in FIGURES}
    page = render_comparison([{"what": "one", "config": "one.yaml", "figures": figures}], 1, 0.9)
    rows = re.findall(r'<tr><th scope="row">([^<]*)<br><small>([^<]*)</small></th><td>(.*?)</td></tr>', page)
    told = {html.unescape(name): (html.unescape(unit), cell) for name, unit, cell in rows}
    assert told == {
        name: (measured.unit, "0.5<br><small>0.25 to 0.75</small>") for name, measured in FIGURES.items()
    }
    assert "intervals over items" in page


def test_a_figure_of_too_few_items_shows_its_value_and_why_it_has_no_interval():
    few = Spread(0.5, 0.5, 0.5, (0.5,), (None,), ("too few items",))
    other = {**row("two"), "differences": {"picture PSNR": Figure(-0.25, None, 3, note="3 are too few")}}
    page = render_comparison([row("one", **{"picture PSNR": few}), other], 1, 0.9, against="one")
    assert "<td>0.5<br><small>too few items</small></td>" in page
    assert '<td class="">-0.2500<br><small>3 are too few</small></td>' in page
    assert "voices or writers" in page  # items are not independent, and the page says so


LABELS = {"kind": "labels", "accuracy": 0.9846, "items": 1037, "classes": 10, "fingerprint": "ab"}


def test_the_judges_are_named_and_what_taught_them_and_the_features_of_a_vqgan():
    def judged(name, trained_with="", **judges):
        return {**row(name), "data": "digits", "judges": [judges, judges], "trained_with": trained_with}

    turns = {"kind": "turns", "accuracy": 0.5, "items": 30, "classes": 4, "fingerprint": "cd"}
    rows = [judged("plain", image=LABELS, audio=turns), judged("gan", "taught", image=LABELS, audio=turns)]
    rows[1]["judges"] = [{"image": LABELS}, {"image": {**LABELS, "accuracy": 0.95}}]
    page = render_comparison(rows, 2, 0.9)
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert (
        "taught to tell the 10 labels of 1,037 pictures of the training split of digits; its accuracy" in text
    )
    assert "Recordings of plain: by a small convolution network taught without labels" in text
    assert "plain 98.5 % 50.0 %, guessing 25 % none, it is no VQGAN gan 95.0 to 98.5 % – taught" in text
    early = {"kind": "labels", "accuracy": 0.9}  # as runs have it that were judged by earlier versions
    assert "to tell the labels of pictures of the training" in render_comparison(
        [judged("a", image=early)], 1, 0.9
    )
    assert "In whose features" not in render_comparison([row("bare")], 1, 0.9)


def test_plots_say_what_they_show_and_are_left_out_where_there_is_nothing():
    page = render_comparison([row("plain", **{"training seconds": Spread(9.0, 9.0, 9.0, (9.0,))})], 1, 0.9)
    alts = re.findall(r'<img src="data:image/svg[^"]*" alt="([^"]*)"', page)
    assert len(alts) == 2 and "plain audio to image 0.900; plain image to audio 0.900" in alts[0]
    assert "training seconds" in alts[1] and "mAP" not in alts[1] and "memory" not in alts[1]
    alone = {"what": "x", "config": "x.yaml", "figures": {"picture PSNR": Spread(1.0, 1.0, 1.0, (1.0,))}}
    page = render_comparison([alone], 1, 0.9)
    assert "<img" not in page and "Quality" not in page and "costs" not in page.split("All figures")[0]


def test_what_is_not_compared_and_what_is_not_there_is_said():
    reason = "they were judged in features of different networks (fingerprints a and b)"
    left = {"picture perceptual distance": reason, "picture Fréchet distance, rebuilt": reason}
    rows = [row("base"), {**row("other"), "differences": {}, "left_out": left, "finished": 1}]
    page = render_comparison(rows, 2, 0.9, "base", "third/seed0 failed: <no space>")
    assert "third/seed0 failed: &lt;no space&gt;" in page and "1 of 2 seeds" in page
    told = "picture perceptual distance; picture Fréchet distance, rebuilt: they were judged"
    assert "Not compared" in page and f"<b>other</b>, {told}" in page
    assert "Not compared" not in render_comparison([row("base"), row("other")], 2, 0.9, "base")


def test_differences_stand_in_a_table_of_their_own_and_sure_ones_stand_out():
    sure, open_ = Figure(0.02, (0.01, 0.03), 9), Figure(-0.5, (-1.0, 0.25), 9)
    rows = [
        {**row("<base>"), "differences": {}},
        {**row("more"), "differences": {BOTH[0]: sure, "picture PSNR": open_}},
        {**row("less"), "differences": {BOTH[0]: open_}},
    ]
    page = render_comparison(rows, 2, 0.9, "<base>")
    assert "<h2>Against &lt;base&gt;</h2>" in page and "averaged over seeds" in page
    cells = re.findall(r'<td class="(sure|)">([^<]*)<', page)
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
