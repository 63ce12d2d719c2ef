"""Agreement of two models, counted by hand."""

import pytest
from conftest import answers_of, question

from qa_tradeoffs.analysis import agreement

SHARES = ["both", "first", "second", "neither", "either", "equal"]


def row(scores, **texts):
    n = len(next(iter(scores.values()))[0])
    return agreement.table(answers_of([question(i) for i in range(n)], scores, **texts)).iloc[0]


def test_every_question_is_right_for_both_one_or_none():
    found = row({"A": [[1, 1, 1, 0, 0.5]], "B": [[1, 1, 0, 1, 0]]})
    assert found[SHARES].tolist() == pytest.approx([40, 20, 20, 20, 80, 40])
    assert found["better"] == 60


def test_wrong_answers_can_be_equal_and_are_so_once_normalised():
    texts = {"A": [["The Rome", "x"]], "B": [["rome.", "y"]]}
    found = row({"A": [[0, 0]], "B": [[0, 0]]}, texts=texts)
    assert (found["equal"], found["neither"], found["either"]) == (50, 100, 0)


def test_every_seed_of_one_is_compared_with_every_seed_of_the_other():
    # On the one question A is right with one seed of two, B with both: half of the pairings are right together.
    found = row({"A": [[1], [0]], "B": [[1], [1]]})
    assert found[SHARES].tolist() == [50, 0, 50, 0, 100, 50]


def test_a_model_with_several_seeds_is_compared_with_itself():
    answers = answers_of([question(i) for i in range(2)], {"A": [[1, 1], [1, 0]], "B": [[1, 1]]})
    table = agreement.table(answers)
    assert table[["model", "other"]].to_numpy().tolist() == [["A", "B"], ["A", "A"]]
    assert table.iloc[1][SHARES].tolist() == [50, 50, 0, 0, 100, 50]


def test_the_interval_of_a_share_is_over_questions():
    found = row({"A": [[1] * 50 + [0] * 50], "B": [[1] * 100]})
    assert (found["both_low"], found["both"], found["both_high"]) == pytest.approx((40.2, 50, 59.8), abs=1.5)
    assert (found["either_low"], found["either_high"]) == (100, 100)


def test_a_single_model_with_one_seed_has_no_agreement():
    assert agreement.table(answers_of([question(0)], {"A": [[1]]})).empty
