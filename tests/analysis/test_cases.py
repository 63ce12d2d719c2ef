"""Questions to read: the right ones, always the same ones, and their spans where they are."""

import pytest
from conftest import compared_of, question

from qa_tradeoffs.analysis import cases
from qa_tradeoffs.analysis.excerpts import Piece

EXAMPLES = [question(i) for i in range(10)]


def test_a_split_has_what_one_gets_and_the_other_misses():
    first, second = cases.sample(compared_of(EXAMPLES, {"A": [[1] * 6 + [0] * 4], "B": [[0] * 5 + [1] * 2 + [0] * 3]}))
    assert (first.right, first.wrong, first.n, len(first.cases)) == ("A", "B", 5, 4)
    assert (second.right, second.wrong, second.n, len(second.cases)) == ("B", "A", 1, 1)
    assert {case.example.id for case in first.cases} < {"q0", "q1", "q2", "q3", "q4"}
    (case,) = second.cases
    assert case.example.id == "q6"
    assert (case.right.text, case.right.confidence) == ("right", pytest.approx(0.4))
    assert case.wrong.text == "wrong 0"


def test_the_same_seed_draws_the_same_questions_and_another_seed_others():
    compared = compared_of([question(i) for i in range(100)], {"A": [[1] * 100], "B": [[0] * 100]})
    drawn = [[case.example.id for case in cases.sample(compared, seed=seed)[0].cases] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_only_the_first_seed_is_read():
    first, second = cases.sample(compared_of(EXAMPLES[:2], {"A": [[1, 0], [0, 1]], "B": [[0, 0], [1, 1]]}))
    assert (first.n, second.n) == (1, 0)


def test_references_and_answers_are_marked_in_the_context():
    case = cases.sample(compared_of(EXAMPLES[:1], {"A": [[1]], "B": [[0]]}))[0].cases[0]
    assert case.context == [
        Piece("right", ("reference", "right", "wrong")),
        Piece(" h", ("wrong",)),
        Piece("ere, or is it wrong?"),
    ]


def test_no_answer_has_no_span_though_its_best_span_is_known():
    compared = compared_of(EXAMPLES[:1], {"A": [[1]], "B": [[0]]}, texts={"B": [[""]]})
    case = cases.sample(compared)[0].cases[0]
    assert case.wrong.span is None
    assert {name for piece in case.context for name in piece.names} == {"reference", "right"}


def test_one_model_has_nobody_to_differ_from():
    assert cases.sample(compared_of(EXAMPLES, {"A": [[1] * 10]})) == []
