"""How much questions of one passage have in common, on scores of which it can be worked out on paper."""

import numpy as np
import pytest
from conftest import compared_of, question

from qa_tradeoffs.analysis import passages
from qa_tradeoffs.report import difference_findings

TWO_PASSAGES = [question(row, context=f"passage {row // 2}") for row in range(4)]


def test_questions_with_passages_of_their_own_are_independent():
    assert passages.ratio(np.array([1.0, 0.0, 0.5, 1.0]), np.arange(4)) == pytest.approx(1)


def test_questions_that_stand_and_fall_together_count_as_one():
    # Deviations are ±1/2: of four questions 4 · 1/4 · 4/3 = 4/3, of two passages 2 · 1 · 2/1 = 4; √(4 ÷ 4/3) = √3.
    assert passages.ratio(np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 1, 1])) == pytest.approx(np.sqrt(3))


def test_passages_with_equal_means_leave_nothing_to_draw():
    assert passages.ratio(np.array([1.0, 0.0, 0.0, 1.0]), np.array([0, 0, 1, 1])) == 0


def test_it_agrees_with_a_bootstrap_of_whole_passages():
    rng = np.random.default_rng(0)
    scores = (rng.random((200, 1)) + rng.random((200, 3))) / 2  # three questions to a passage, alike by half
    drawn = scores[rng.integers(200, size=(4000, 200))].mean(axis=(1, 2))
    independent = scores.std(ddof=1) / np.sqrt(600)
    expected = drawn.std() / independent
    assert expected > 1.2
    assert passages.ratio(scores.ravel(), np.repeat(np.arange(200), 3)) == pytest.approx(expected, rel=0.04)


def test_scores_and_differences_have_a_row_each():
    table = passages.widths(compared_of(TWO_PASSAGES, {"A": [[1, 1, 0, 0]], "B": [[1, 0, 0, 0]]}))
    assert table[["model", "other"]].to_numpy().tolist() == [["A", ""], ["B", ""], ["A", "B"]]
    assert table["passages"].tolist() == [2, 2, 2]
    # B: 3/4 and thrice -1/4; by passage 1/2 and -1/2: √((1/2 · 2) ÷ (3/4 · 4/3)) = 1. A - B is the same, moved.
    assert table["ratio"].tolist() == pytest.approx([np.sqrt(3), 1, 1])


def test_equal_scores_have_no_ratio():
    assert np.isnan(passages.ratio(np.ones(4), np.array([0, 0, 1, 1])))


def many(*, alike: bool) -> list[str]:
    """Of 60 questions in 30 passages A gets half: whole passages, or one question of each."""
    right = [1.0, 1.0, 0.0, 0.0] if alike else [1.0, 0.0, 0.0, 1.0]
    examples = [question(row, context=f"passage {row // 2}") for row in range(60)]
    both = compared_of(examples, {"A": [right * 15], "B": [[0.0] * 30 + [1.0] * 30]})
    return difference_findings.by_passage(passages.widths(both), 60)


def test_what_is_alike_is_said_with_its_ratios():
    said = " ".join(many(alike=True))
    assert said.startswith("The 60 questions are about 30 passages, and those about one passage may be alike.")
    # All are pairs: √(4 n/4 · 30/29 ÷ (n/4 · 60/59)) of n = 60 questions or 30 passages twice their size: √(2 · 59/58).
    assert "intervals of F1 would be 1.43 times as wide, those of differences in F1 1.43 times." in said
    assert said.endswith("A difference whose interval almost reaches zero is then not shown.")


def test_what_is_not_alike_is_said_too():
    said = " ".join(many(alike=False))
    assert "intervals of F1 would be 0.00 to 1.43 times as wide" in said


def test_nothing_is_said_of_a_passage_to_each_question_or_of_few_passages():
    alone = compared_of([question(row, context=f"passage {row}") for row in range(60)], {"A": [[1.0, 0.0] * 30]})
    assert difference_findings.by_passage(passages.widths(alone), 60) == []
    assert difference_findings.by_passage(passages.widths(compared_of(TWO_PASSAGES, {"A": [[1, 1, 0, 0]]})), 4) == []
