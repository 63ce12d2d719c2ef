"""Seconds times price, and what follows from it: by hand, to the cent."""

import math

import pytest

from qa_tradeoffs.metrics import costs


@pytest.mark.parametrize(
    ("hours", "usd"),
    [(3, 4.65), (5.35, 8.2925), (0, 0)],  # the original study published 4.65 and, a cent off, 8.28
)
def test_hours_at_the_original_rate(hours, usd):
    assert costs.usd(hours * 3600, 1.55) == pytest.approx(usd)


def test_a_price_range_gives_a_cost_range():
    assert costs.usd_range(7200, (1.0, 2.5)) == pytest.approx((2.0, 5.0))


def test_a_million_questions_at_36_ms_take_ten_hours_and_at_a_quarter_of_the_time_cost_four_times_as_much():
    assert costs.usd_per_million(0.036, (3.0, 6.0)) == pytest.approx((30.0, 60.0))
    assert costs.usd_per_million(0.036, (3.0, 6.0), utilisation=0.25) == pytest.approx((120.0, 240.0))


@pytest.mark.parametrize(
    ("extra", "saved", "questions"),
    [
        (3.0, 0.0001, 30_000),  # three dollars of training, a hundredth of a cent a question
        (-1.0, 0.001, 0),  # cheaper in both
        (0.0, 0.001, 0),  # equal cost of training
        (-1.0, 0.0, 0),  # equal cost of serving
        (0.0, 0.0, 0),  # the same
        (1.0, 0.0, math.inf),  # saves nothing
        (1.0, -0.001, math.inf),  # more expensive in both
        (-3.0, -0.0001, math.inf),  # more expensive to serve: it never stays ahead
    ],
)
def test_break_even_is_when_the_questions_have_saved_what_the_training_cost(extra, saved, questions):
    assert costs.break_even(extra, saved) == pytest.approx(questions)


def test_on_one_machine_the_price_changes_every_cost_and_no_break_even():
    def break_even(usd_per_hour: float, utilisation: float = 1.0) -> float:
        slow, fast = (
            costs.usd_per_million(seconds, (usd_per_hour, usd_per_hour), utilisation)[0] for seconds in (0.03, 0.01)
        )
        return costs.break_even(costs.usd(3600, usd_per_hour), slow - fast)

    # An hour more of training, 20,000 s less for a million questions: 0.18 million.
    assert break_even(0.5) == pytest.approx(0.18) == break_even(5.0)
    assert break_even(0.5, utilisation=0.5) == pytest.approx(0.09)
