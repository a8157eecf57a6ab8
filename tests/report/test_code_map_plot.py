"""Lit codes on the map."""

import base64
import re

import numpy as np

from vqmm.report.code_map_plot import Lit, code_map_plot
from vqmm.report.theme import AUDIO, IMAGE


def svg(uri):
    return base64.b64decode(uri.partition(",")[2]).decode()


def test_discs_for_the_query_and_rings_for_the_hit():
    points = np.random.default_rng(0).normal(size=(12, 2))
    usage = np.array([0, 5, 1, 0, *[2] * 8])
    dark = svg(code_map_plot(points, usage))
    assert AUDIO not in dark and IMAGE not in dark
    lit = svg(code_map_plot(points, usage, Lit("a", "audio", [1, 1, 4]), Lit("b", "image", [1, 5, 4])))
    discs, rings = (
        re.findall(rf'<use [^>]*style="[^"]*{kind}: {colour}', lit)
        for kind, colour in (("fill", AUDIO), ("stroke", IMAGE))
    )
    assert len(discs) == 2 + 1 and len(rings) == 3 + 1  # distinct codes, and the legend


def test_a_codebook_that_no_item_uses_is_drawn():
    assert "<svg" in svg(code_map_plot(np.zeros((1, 2)), np.zeros(1, int)))
