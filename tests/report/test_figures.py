"""How pages and tables print figures."""

from vqmm.report.figures import interval, number


def test_an_interval_is_printed_scaled_and_its_absence_explained():
    figure = {"value": 0.5, "ci95": [0.25, 0.75], "n": 40}
    assert (number(figure, 1, 100), interval(figure, 1, 100)) == ("50.0", "25.0 to 75.0")
    assert interval({"value": 0.5, "ci95": None, "n": 4, "note": "too few"}) == "no interval, n = 4"
    assert interval({"value": 12.0, "ci95": None, "n": 1}) == ""  # nothing was sampled
    assert interval(3.0) == ""
