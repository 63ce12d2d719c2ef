"""Rows whose correct reading or refusal is obvious."""

from dataclasses import replace
from typing import Any

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.checks import Row, checked
from qa_tradeoffs.data.example import Example

CONTEXT = "Ada met Bob. Bob left."
ADA = Example("q1", "People", CONTEXT, "Who?", ("Ada",), (0,))
BOB = replace(ADA, id="q2", answers=("Bob",), answer_starts=(8,))


def check(*examples: Example, impossible: bool = False, **rules: Any) -> tuple[list[Example], tuple[str, ...]]:
    rows = [Row(f"dev.json: row {i}", example, impossible) for i, example in enumerate(examples)]
    return checked(rows, "dev.json", **rules)


def test_correct_questions_stay_as_they_are():
    both = replace(BOB, answers=("Bob", "Bob"), answer_starts=(8, 13))
    assert check(ADA, both) == ([ADA, both], ())


def test_in_version_2_a_question_may_have_no_answer():
    unanswerable = replace(ADA, answers=(), answer_starts=())
    assert check(unanswerable, v2=True) == ([unanswerable], ())


def test_offsets_count_characters_not_bytes():
    assert check(replace(BOB, context="Zoë 😀 Bob", answer_starts=(6,)))[1] == ()


FAULTS = {
    "has a blank question": {"question": " \n"},
    "has an empty context": {"context": ""},
    "has an answer that does not occur in the context": {"answers": ("Eve",)},
    "has an answer that is not at its answer_start": {"answer_starts": (1,)},
}


@pytest.mark.parametrize(("fault", "change"), FAULTS.items(), ids=FAULTS)
@pytest.mark.parametrize("misplaced", ["repair", "refuse", "drop"])
def test_questions_that_cannot_be_scored_are_counted_named_and_refused_or_left_out(fault, change, misplaced):
    bad = [replace(ADA, id=name, **change) for name in "abcd"]
    counted = f"dev.json: 4 of 5 questions {fault.replace('has', 'have', 1)}, first 'a', 'b', 'c' (row 1"
    if misplaced == "drop":
        examples, notes = check(BOB, *bad, misplaced="drop")
        assert examples == [BOB]
        assert [note.startswith(counted) and note.endswith("; left out") for note in notes] == [True]
        return
    if misplaced == "repair" and fault.endswith("answer_start"):
        return  # moved, see below
    with pytest.raises(StudyError) as error:
        check(BOB, *bad, misplaced=misplaced)
    assert str(error.value).startswith(counted)


def test_a_question_without_an_answer_is_never_left_out_silently():
    with pytest.raises(
        StudyError, match=r"^dev\.json: 1 of 2 questions has no answer, first 'q2' \(row 1\); give each "
    ):
        check(ADA, replace(BOB, answers=(), answer_starts=()), misplaced="drop")


def test_leaving_out_every_question_is_an_error():
    with pytest.raises(StudyError, match=r"^dev\.json: has no question left of 1 question"):
        check(replace(ADA, question=""), misplaced="drop")


@pytest.mark.parametrize(("v2", "answers"), [(True, ()), (False, ("Ada",))])
def test_answers_of_an_impossible_question_are_reported_and_count_only_in_version_1(v2, answers):
    examples, (note,) = check(ADA, impossible=True, v2=v2)
    assert examples[0].answers == answers
    assert note.startswith("dev.json: 1 of 1 question has an answer but `is_impossible: true`, first 'q1' (row 0); ")


def test_ids_are_unique_and_there_is_a_question():
    with pytest.raises(StudyError, match=r"^dev\.json: the id 'q1' .* 2 times"):
        check(ADA, ADA)
    with pytest.raises(StudyError, match=r"^dev\.json: has no question"):
        check()


def test_an_absent_answer_is_quoted_in_an_error_and_not_in_a_note_which_may_be_published():
    absent = replace(BOB, answers=("Atlantis",))
    with pytest.raises(StudyError, match="'Atlantis'"):
        check(ADA, absent)
    (note,) = check(ADA, absent, misplaced="drop")[1]
    assert "Atlantis" not in note


@pytest.mark.parametrize(
    ("given", "right"),
    # "Bob" is at 8 and at 13; 10 is closer to 8, and 11 to 13
    [(7, 8), (10, 8), (11, 13), (14, 13), (999, 13), (-5, 8)],
)
def test_a_misplaced_answer_moves_to_its_nearest_occurrence(given, right):
    examples, _ = check(replace(BOB, answer_starts=(given,)))
    assert examples == [replace(BOB, answer_starts=(right,))]


def test_moved_answers_are_counted_in_a_note():
    rows = [ADA, *(replace(BOB, id=name, answer_starts=(0,)) for name in ("q2", "q3"))]
    (note,) = check(*rows)[1]
    assert note.startswith(
        "dev.json: 2 of 3 questions have an answer that is not at its answer_start, first 'q2', 'q3' (row 1); "
    )
