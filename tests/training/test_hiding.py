"""What a prior is asked for in training."""

import numpy as np

from vqmm.config import Hiding
from vqmm.models import TokenLayout
from vqmm.training.hiding import draw_hidden

LAYOUT = TokenLayout.from_config([["shared", 8, 0, 80], ["image", 64, 80, 200], ["audio", 100, 200, 300]])
THERE = np.ones((6000, 3), bool)


def drawn(hiding, there=THERE):
    return draw_hidden(LAYOUT, there, hiding, np.random.default_rng(0))


def test_the_hidden_share_is_the_cosine_of_an_even_draw():
    shown = drawn(Hiding(single=0, lost=0, partial=0))
    assert shown.present.all() and not shown.hidden[:, :8].any()
    for part in (slice(8, 72), slice(72, 172)):
        shares = np.sort(shown.hidden[:, part].mean(1))
        wanted = np.sort(np.cos(np.pi / 2 * (np.arange(6000) + 0.5) / 6000))
        assert np.abs(shares - wanted).max() < 0.03 and shown.hidden[:, part].any(1).all()
    # Each token is hidden as often as any other.
    often = shown.hidden[:, 8:72].mean(0)
    assert np.abs(often - 2 / np.pi).max() < 0.04
    assert shown.alone.any(1).all() and abs(shown.alone.mean() - 0.7) < 0.03  # rounded up


def test_each_way_comes_as_often_as_asked():
    shown = drawn(Hiding(single=0.4, lost=0.2, partial=0.1))
    alone = shown.present.sum(1) == 2
    assert abs(alone.mean() - 0.4) < 0.02 and shown.present[:, 0].all()
    assert abs(shown.present[alone, 1].mean() - 0.5) < 0.04
    shared = shown.hidden[:, :8]
    assert abs(shared.any(1).mean() - 0.3) < 0.02
    assert 0.2 <= shared.all(1).mean() < 0.28  # the lost, and some of the partial


def test_what_an_item_lacks_stays_absent():
    there = np.array([[True, True, False], [True, False, True], [True, False, False]])
    for seed in range(20):
        shown = draw_hidden(LAYOUT, there, Hiding(single=1), np.random.default_rng(seed))
        np.testing.assert_array_equal(shown.present, there)
