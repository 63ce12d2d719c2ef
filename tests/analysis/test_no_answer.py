"""The no-answer trade-off of five questions, of which two have no answer: every figure by hand."""

import pytest
from conftest import v2_study

from qa_tradeoffs.analysis import no_answer


@pytest.fixture
def collected(collected_of):
    return v2_study(collected_of)


@pytest.fixture
def marks(collected):
    return no_answer.marks(collected, no_answer.curves(collected))


def test_each_curve_is_marked_at_the_threshold_used_at_0_and_at_its_best(marks):
    rows = marks[marks["seed"] == 0].set_index(["model", "mark"])
    assert rows.loc["BERT", "threshold"].to_dict() == {"used": -2, "at 0": 0, "best afterwards": -2}
    # Right of five: the first answered and both unanswerable left; of these one answered; ...
    assert rows.loc["BERT", "f1"].tolist() == pytest.approx([60, 40, 60])
    assert rows.loc["DistilBERT", "f1"].tolist() == pytest.approx([50, 40, 60])
    assert rows.loc[("DistilBERT", "used"), ["no_f1", "has_f1", "answered"]].tolist() == [50, 50, 80]


def test_a_model_has_its_figures_with_the_threshold_used_as_means_over_seeds(collected, marks):
    bert, distilbert = (row for _, row in no_answer.models(collected, marks).iterrows())
    assert (bert["f1"], bert["has_f1"], bert["no_f1"]) == pytest.approx((60, 100 / 3, 100))
    assert (bert["thresholds"], bert["chosen_on"], bert["lost"]) == ((-2,), 41, pytest.approx(0))
    assert (bert["no_f1_low"], bert["no_f1_high"]) == (100, 100)
    assert bert["has_f1_low"] == 0
    assert (distilbert["f1"], distilbert["no_f1"]) == pytest.approx((40, 25))  # seeds reach 50 and 30; 50 and 0
    assert (distilbert["f1_at_0"], distilbert["f1_best"], distilbert["lost"]) == pytest.approx((40, 60, 20))
    assert distilbert["thresholds"] == (1, 2)
