"""Costs from hand-made passes: every figure can be worked out by hand."""

import math
from dataclasses import replace

import pytest

from qa_tradeoffs.analysis import money
from qa_tradeoffs.metrics.pareto import Contest, Gap
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.metrics.timing import Ratio
from tests.analysis.conftest import compared, models, sized
from tests.conftest import MODELS, in_turn

BETTER, WORSE, NEAR = Gap(4, 3, 5, 0.01), Gap(-4, -5, -3, 0.01), Gap(4, -1, 9, 0.2)
SLOWER, UNTOLD = Ratio(2.0, 1.9, 2.1, 0.001), Ratio(1.1, 0.9, 1.3, 0.2)


def contest(gap: Gap = BETTER, ratio: Ratio = SLOWER) -> Contest:
    """Of BERT and DistilBERT; ``ratio`` is BERT's time over the other's."""
    pair = ("BERT", "DistilBERT")
    return Contest(pair, {pair: gap}, {pair: ratio})


@pytest.fixture
def collected(profiled):
    """At USD 2 an hour; BERT needs 4,500 updates, and so does DistilBERT."""
    return profiled({"bert": sized(1), "distilbert": sized(1)}, usd_per_hour=(1.0, 3.0))


def test_costs_are_at_the_middle_of_the_price(collected):
    row = money.costs_of(collected, models(), contest()).iloc[0]
    assert (row["training_usd"], row["million_usd"]) == (2, pytest.approx(200))
    assert row["question_usd"] == pytest.approx(2e-4)
    assert (row["question_low"], row["question_high"]) == pytest.approx((1.8e-4, 2.2e-4))
    assert row["usd_per_point"] == pytest.approx(0.25)  # USD 1 more for 4 points
    assert (row["cheapest"], row["dearest"], row["smallest"]) == (0.5, 1.5, False)


@pytest.mark.parametrize(("gap", "usd"), [(BETTER, 0.25), (WORSE, math.nan), (NEAR, math.nan)])
def test_a_point_of_f1_has_a_price_only_if_f1_is_significantly_higher(collected, gap, usd):
    table = money.costs_of(collected, models(), contest(gap))
    assert table["usd_per_point"].tolist() == [pytest.approx(usd, nan_ok=True), pytest.approx(math.nan, nan_ok=True)]


def test_a_model_that_is_better_and_cheaper_than_the_smallest_saves_with_each_point(collected):
    table = money.costs_of(collected, models(parameters=(50, 100), f1=(76, 78)), contest(WORSE))
    assert table["usd_per_point"].tolist() == [pytest.approx(math.nan, nan_ok=True), -0.5]


def test_a_model_that_came_fine_tuned_has_no_training_cost(collected):
    table = money.costs_of(collected, models(train_paid_seconds=[3600, math.nan]), contest())
    assert table["training_usd"].tolist() == [2, pytest.approx(math.nan, nan_ok=True)]
    assert table["usd_per_point"].iloc[0] == 0.5  # all of BERT's USD 2 for 4 points


def test_a_machine_without_a_price_costs_nothing(collected, price_at):
    table = money.costs_of(replace(collected, price=price_at(0)), models(), contest())
    assert (table[["training_usd", "million_usd"]] == 0).all(axis=None)
    assert table["cheapest"].tolist() == table["dearest"].tolist() == [1, 1]


def test_the_cheaper_to_serve_pays_back_within_a_range_by_both_intervals(collected):
    # DistilBERT saves 90, 100 and 110 ms a question; a training step takes it 20 ms longer, 4,500 times: 90 s.
    found = compared(
        collected,
        in_turn("single_stream", {"bert": [0.19, 0.2, 0.21], "distilbert": [0.1, 0.1, 0.1]}),
        in_turn("training_step", {"bert": [0.40, 0.41, 0.42], "distilbert": [0.42, 0.43, 0.44]}),
    )
    half = 4.3027 * 0.01 / math.sqrt(3)  # of the interval of a mean of three, 10 ms apart
    (row,) = money.break_even(found, contest()).to_numpy().tolist()
    range_ = [pytest.approx(90 / (0.1 + half), 1e-4), pytest.approx(90 / (0.1 - half), 1e-4)]
    assert row == ["DistilBERT", "BERT", *range_, *range_, False]


def test_a_model_that_also_costs_less_to_train_breaks_even_immediately(collected):
    even = money.break_even(collected, contest())
    assert even.to_numpy().tolist() == [["DistilBERT", "BERT", 0, 0, 0, 0, False]]


def test_a_teacher_s_training_is_paid_for_its_student_in_figures_of_its_own(profiled):
    student = MODELS["distilbert"] | {"teacher": "bert", "distillation": {"weight": 0.5}}
    found = profiled({"bert": sized(1), "distilbert": sized(1)}, models=MODELS | {"distilbert": student})
    file = found.trainings["distilbert", 0]
    lesson = (Record.of("teacher_logits_seconds", 90, "s"), Record.of("teacher_train_seconds", 1, "s"))
    found.trainings["distilbert", 0] = file.model_copy(update={"records": (*file.records, *lesson)})
    question = in_turn("single_stream", {"bert": [0.2] * 3, "distilbert": [0.1] * 3})
    step = in_turn("training_step", {"bert": [0.4] * 3, "distilbert": [0.2] * 3})
    (row,) = money.break_even(compared(found, question, step), contest()).to_dict("records")
    assert (row["questions_low"], row["questions_high"], row["taught"]) == (0, 0, True)
    # 4,500 steps of its own, 90 s for the logits, and BERT's training, which BERT needs too: 990 s more.
    assert [row["all_questions_low"], row["all_questions_high"]] == pytest.approx([9900, 9900])


def test_break_even_is_undefined_if_neither_is_significantly_faster(collected):
    even = money.break_even(collected, contest(ratio=UNTOLD))
    assert even.filter(like="questions").isna().to_numpy().tolist() == [[True] * 4]


def test_a_training_by_several_devices_is_paid_for_each_of_them(collected_of):
    collected = collected_of({"bert": [[1, 1]]})
    file = collected.trainings["bert", 0]
    shared = tuple(record.under({"devices": 4}) for record in file.records)
    collected.trainings["bert", 0] = file.model_copy(update={"records": shared})
    found = money.training(collected, "bert")
    assert math.isnan(found["train_by_step"])  # a step of one device is another
    assert found["train_paid_seconds"] == 4 * 3600


def test_idle_time_is_paid_with_the_questions(profiled):
    collected = compared(
        profiled({"bert": sized(1)}, usd_per_hour=(1.0, 3.0)), in_turn("single_stream", {"bert": 0.36})
    )
    shares = money.utilisation(collected, "study")
    assert shares["utilisation"].tolist() == [1, 0.5, 0.1]
    assert shares["usd_low"].tolist() == pytest.approx([100, 200, 1000])
    assert shares["usd_high"].tolist() == pytest.approx([300, 600, 3000])
