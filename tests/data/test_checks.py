"""Rows whose right reading, or right refusal, can be seen."""

from dataclasses import replace
from typing import Any

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.checks import checked
from qa_tradeoffs.data.example import Example

CONTEXT = "Ada met Bob. Bob left."
ADA = Example("q1", "People", CONTEXT, "Who?", ("Ada",), (0,))
BOB = replace(ADA, id="q2", answers=("Bob",), answer_starts=(8,))


def check(*examples: Example, **rules: Any) -> tuple[list[Example], tuple[str, ...]]:
    return checked([(f"dev.json: row {i}", example) for i, example in enumerate(examples)], "dev.json", **rules)


def test_what_is_right_stays_as_it_is():
    both = replace(BOB, answers=("Bob", "Bob"), answer_starts=(8, 13))
    assert check(ADA, both) == ([ADA, both], ())


def test_in_version_2_a_question_may_have_no_answer():
    unanswerable = replace(ADA, answers=(), answer_starts=())
    assert check(unanswerable, v2=True) == ([unanswerable], ())


def test_offsets_count_characters_not_bytes():
    assert check(replace(BOB, context="Zoë 😀 Bob", answer_starts=(6,)))[1] == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": (), "answer_starts": ()}, "question 'q1' has no answer; SQuAD v1.1 needs one, v2.0 needs `v2: tr"),
        ({"answers": ("Eve",)}, "the answer 'Eve' of question 'q1' does not occur in its context"),
    ],
)
def test_a_question_that_cannot_be_scored_is_refused_with_its_place_and_id(change, message):
    with pytest.raises(StudyError) as error:
        check(BOB, replace(ADA, **change))
    assert str(error.value).startswith(f"dev.json: row 1: {message}")


def test_ids_are_unique_and_there_is_a_question():
    with pytest.raises(StudyError, match=r"^dev\.json: the id 'q1' is there 2 times"):
        check(ADA, ADA)
    with pytest.raises(StudyError, match=r"^dev\.json: has no question"):
        check()


@pytest.mark.parametrize(
    ("given", "right"),
    # "Bob" is at 8 and at 13; 10 is two from the one and three from the other, 11 the other way round
    [(7, 8), (10, 8), (11, 13), (14, 13), (999, 13), (-5, 8)],
)
def test_a_misplaced_answer_moves_to_its_nearest_occurrence(given, right):
    examples, _ = check(replace(BOB, answer_starts=(given,)))
    assert examples == [replace(BOB, answer_starts=(right,))]


def test_misplaced_answers_are_counted_in_a_note_or_refused_where_the_study_says_so():
    rows = [ADA, *(replace(BOB, id=name, answer_starts=(0,)) for name in ("q2", "q3"))]
    (note,) = check(*rows)[1]
    counted = "dev.json: 2 of 3 questions have an answer that is not at its answer_start, first 'q2'; "
    assert note.startswith(counted)
    with pytest.raises(StudyError) as error:
        check(*rows, misplaced="refuse")
    assert str(error.value).startswith(counted)
