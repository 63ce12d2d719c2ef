"""Costs from hand-made records: every figure can be worked out on paper."""

import math
from dataclasses import replace

import pytest

from qa_tradeoffs.analysis import money
from tests.analysis.conftest import models, scenarios, sized


@pytest.fixture
def collected(profiled):
    """At USD 2 an hour: BERT answers in 0.36 s, DistilBERT in 0.18 s; Offline 10 and 20 questions a second."""
    bert, distilbert = [*sized(1), *scenarios(0.36, (10.0,))], [*sized(1), *scenarios(0.18, (20.0,))]
    return profiled({"bert": bert, "distilbert": distilbert}, usd_per_hour=(1.0, 3.0))


def test_costs_are_at_the_middle_of_the_price(collected):
    row = money.costs_of(collected, models()).iloc[0]
    assert (row["training_usd"], row["single_usd"]) == (2, pytest.approx(200))
    assert row["question_usd"] == pytest.approx(2e-4)
    assert (row["question_low"], row["question_high"]) == pytest.approx((1.8e-4, 2.2e-4))
    assert row["offline_usd"] == pytest.approx(2e5 / 3600)
    assert row["usd_per_point"] == pytest.approx(0.25)  # USD 1 more for 4 points
    assert (row["cheapest"], row["dearest"]) == (0.5, 1.5)


def test_a_model_that_is_better_and_cheaper_than_the_smallest_saves_with_each_point(collected):
    table = money.costs_of(collected, models(parameters=(50, 100), f1=(76, 78)))
    assert table["usd_per_point"].tolist() == [pytest.approx(math.nan, nan_ok=True), -0.5]


def test_a_model_that_came_fine_tuned_has_no_training_cost_and_nothing_to_pay_back(collected):
    table = money.costs_of(collected, models(train_paid_seconds=[3600, math.nan]))
    assert table["training_usd"].tolist() == [2, pytest.approx(math.nan, nan_ok=True)]
    assert table["usd_per_point"].iloc[0] == 0.5  # all of BERT's USD 2 for 4 points
    assert money.break_even(table)["questions"].tolist() == [0]


def test_a_machine_of_one_s_own_costs_nothing(collected, price_at):
    table = money.costs_of(replace(collected, price=price_at(0)), models())
    assert (table[["training_usd", "single_usd", "offline_usd"]] == 0).all(axis=None)
    assert table["cheapest"].tolist() == table["dearest"].tolist() == [1, 1]
    assert money.break_even(table).empty and money.break_even(table.head(1)).empty


@pytest.mark.parametrize("usd_per_hour", [2.0, 7.0])
def test_the_cheaper_to_serve_pays_back_at_every_price_after_as_many_questions(collected, price_at, usd_per_hour):
    # DistilBERT took an hour and BERT half: at USD 2 that is USD 1 more to train, USD 0.0001 less a question.
    priced = replace(collected, price=price_at(usd_per_hour))
    even = money.break_even(money.costs_of(priced, models(train_paid_seconds=[1800, 3600])))
    assert even.to_numpy().tolist() == [["DistilBERT", "BERT", pytest.approx(10_000)]]


def test_models_whose_times_overlap_have_no_break_even(profiled):
    near = {"bert": [*sized(1), *scenarios(0.20)], "distilbert": [*sized(1), *scenarios(0.18)]}  # 0.180 to … 0.198
    assert money.break_even(money.costs_of(profiled(near), models()))["questions"].isna().tolist() == [True]


def test_idle_time_is_paid_with_the_questions(profiled):
    rows = [*sized(1), *scenarios(0.36)]
    shares = money.utilisation(profiled({"bert": rows}, usd_per_hour=(1.0, 3.0)), "study")
    assert shares["utilisation"].tolist() == [1, 0.5, 0.1]
    assert shares["usd_low"].tolist() == pytest.approx([100, 200, 1000])
    assert shares["usd_high"].tolist() == pytest.approx([300, 600, 3000])
