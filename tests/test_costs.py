"""Seconds times price."""

import pytest

from qa_tradeoffs import costs


def test_three_hours_at_the_original_rate_are_its_four_dollars_sixty_five():
    assert costs.usd(3 * 3600, 1.55) == pytest.approx(4.65)


def test_a_price_range_gives_a_cost_range():
    assert costs.usd_range(7200, (1.0, 2.5)) == pytest.approx((2.0, 5.0))
    assert costs.usd_range(7200, (1.0, 1.0)) == pytest.approx((2.0, 2.0))


def test_a_million_questions_at_36_ms_take_ten_hours():
    assert costs.usd_per_million_questions(0.036, 3.0) == pytest.approx(30.0)


def test_nothing_costs_nothing():
    assert costs.usd(0, 1.55) == 0
