"""Numbers as text, formatted alike everywhere."""

import math

import pytest

from qa_tradeoffs.core import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00101, "1.01 ms"), (0.9, "900 ms"), (1, "1.00 s"), (119, "119 s"), (120, "2.00 min"), (7200, "2.00 h"),
     (360_000, "100 h"), (math.nan, "not trained")],
)  # fmt: skip
def test_seconds_have_the_unit_that_people_read_them_in(value, text):
    assert words.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.64e-5, "0.0000264"), (0.09996, "0.100"), (4.65, "4.65"), (99.96, "100"), (12_345, "12,300"), (0, "0")],
)
def test_three_digits_have_no_exponent(value, text):
    assert words.plain(value) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(4.65, 4.65, "4.65"), (0.001, 0.003, "0.00100 to 0.00300"), (math.nan, math.nan, "not trained")],
)
def test_a_cost_is_one_figure_or_a_range(low, high, text):
    assert words.usd(low, high) == text


def test_points_sizes_and_numbers_of_parameters():
    assert words.points(81.24, 80.36, 82.0) == "81.2 (80.4–82.0)"
    assert [words.size(n) for n in (2**10 * 37, 2**20, 438e6)] == ["37 KiB", "1.0 MiB", "417.7 MiB"]
    assert [words.parameters(n) for n in (9_234, 940_000, 109.4e6)] == ["9,234", "0.94 M", "109.4 M"]
