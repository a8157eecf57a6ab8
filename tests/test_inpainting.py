"""From words to places of the grid."""

import numpy as np
import pytest

from vqmm.errors import UserError
from vqmm.inpainting import kept_places
from vqmm.models.token_layout import Section

PLAIN = Section("image", 16, 0, 8, 1, 4)


def kept(hide, section=PLAIN):
    return kept_places(hide, section, (4, 4)).reshape(4, 4, -1)


def test_rows_come_first_then_columns():
    assert kept("0.5:1")[..., 0].tolist() == [[True] * 4] * 2 + [[False] * 4] * 2
    assert kept("0:1,:0.5")[..., 0].tolist() == [[False, False, True, True]] * 4
    found = kept("0.25:0.75,0.25:0.75")[..., 0]
    assert (~found).sum() == 4 and not found[1:3, 1:3].any()


def test_all_levels_of_a_place_go_together():
    found = kept("0.5:1", Section("image", 32, 0, 8, 2, 4))
    assert found.shape == (4, 4, 2) and (found[..., 0] == found[..., 1]).all()
    np.testing.assert_array_equal(found[..., 0], kept("0.5:1")[..., 0])


@pytest.mark.parametrize(
    "hide, says",
    [
        ("lower", "'lower' is no part"),
        ("0.9:0.2", "'0.9:0.2' is no part"),
        ("0:2", "'0:2' is no part"),
        ("0:1,0:1,0:1", "has 3 ranges"),
        ("0.5:0.55", "hides none of the 4 x 4 places"),
        ("nan:1", "is no part"),
    ],
)
def test_an_impossible_part_is_told(hide, says):
    with pytest.raises(UserError, match=says):
        kept(hide)
