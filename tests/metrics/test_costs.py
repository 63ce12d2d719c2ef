"""Seconds times price, and what follows from it: by hand, to the cent."""

import math

import pytest

from qa_tradeoffs.metrics import costs
from qa_tradeoffs.metrics.costs import Costs


def test_three_hours_at_the_original_rate_are_its_four_dollars_sixty_five():
    assert costs.usd(3 * 3600, 1.55) == pytest.approx(4.65)


def test_the_original_s_longest_training_comes_out_a_cent_from_what_it_published():
    assert round(costs.usd(5.35 * 3600, 1.55), 2) == 8.29  # it says 8.28


def test_a_price_range_gives_a_cost_range():
    assert costs.usd_range(7200, (1.0, 2.5)) == pytest.approx((2.0, 5.0))
    assert costs.usd_range(7200, (1.0, 1.0)) == pytest.approx((2.0, 2.0))


def test_nothing_costs_nothing():
    assert costs.usd(0, 1.55) == 0


def test_a_million_questions_at_36_ms_take_ten_hours():
    assert costs.usd_per_million_questions(0.036, 3.0) == pytest.approx(30.0)


def test_a_thousand_questions_a_second_answer_a_million_in_a_thousand_seconds():
    assert costs.usd_per_million_offline(1000, 3.6) == pytest.approx(1.0)


def test_a_machine_that_answers_a_quarter_of_its_time_costs_four_times_as_much_per_question():
    assert costs.usd_per_million_questions(0.036, 3.0, utilisation=0.25) == pytest.approx(120.0)
    assert costs.usd_per_million_offline(1000, 3.6, utilisation=0.25) == pytest.approx(4.0)


def test_a_point_of_f1_is_what_all_of_them_cost_over_their_number():
    assert costs.usd_per_point(extra_usd=4.65 - 2.32, points_gained=2.5) == pytest.approx(0.932)
    assert costs.usd_per_point(extra_usd=-1.0, points_gained=2.0) == -0.5


@pytest.mark.parametrize("gained", [0.0, -1.2])
def test_a_model_that_is_no_better_than_the_smallest_has_no_price_per_point(gained):
    assert costs.usd_per_point(2.0, gained) is None


def test_three_dollars_of_training_are_paid_back_by_a_hundredth_of_a_cent_a_question_after_thirty_thousand():
    small, large = Costs(training=8.0, per_question=0.0001), Costs(training=5.0, per_question=0.0002)
    assert costs.break_even(small, large) == pytest.approx(30_000)
    assert small.after(30_000) == pytest.approx(11.0) == large.after(30_000)


def test_the_model_that_is_dearer_to_serve_never_stays_ahead():
    small, large = Costs(training=8.0, per_question=0.0001), Costs(training=5.0, per_question=0.0002)
    assert costs.break_even(large, small) == math.inf


@pytest.mark.parametrize(
    ("model", "other", "questions"),
    [
        (Costs(1.0, 0.001), Costs(2.0, 0.002), 0.0),  # cheaper in both
        (Costs(2.0, 0.001), Costs(2.0, 0.002), 0.0),  # as dear to train
        (Costs(1.0, 0.002), Costs(2.0, 0.002), 0.0),  # as dear to serve
        (Costs(2.0, 0.002), Costs(2.0, 0.002), 0.0),  # the same
        (Costs(3.0, 0.002), Costs(2.0, 0.002), math.inf),  # saves nothing
        (Costs(3.0, 0.003), Costs(2.0, 0.002), math.inf),  # dearer in both
    ],
)
def test_break_even_is_at_once_or_never_where_nothing_is_traded(model, other, questions):
    assert costs.break_even(model, other) == questions


def test_on_one_machine_the_price_changes_every_cost_and_no_break_even():
    def break_even(usd_per_hour: float, utilisation: float = 1.0) -> float:
        one, other = (
            Costs(costs.usd(train, usd_per_hour), costs.usd_per_million_questions(serve, usd_per_hour, utilisation))
            for train, serve in ((7200, 0.01), (3600, 0.03))
        )
        return costs.break_even(one, other)

    # An hour more of training, 20,000 s less for a million questions: 0.18 million.
    assert break_even(0.5) == pytest.approx(0.18) == break_even(5.0)
    assert break_even(0.5, utilisation=0.5) == pytest.approx(0.09)
