"""SQuAD's nesting: every part knows where it stands, and names the place of what is not there."""

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.squad_json import Part, questions

QA = {"id": "q1", "answers": [{"text": "Ada", "answer_start": 0}, {"text": "Bob", "answer_start": 8}]}
CONTENT = {
    "data": [
        {"title": "People", "paragraphs": [{"context": "Ada met Bob.", "qas": [QA, {"id": "q2"}]}]},
        {"paragraphs": [{"context": "None.", "qas": []}, {"context": "Eve left.", "qas": [{"id": "q3"}]}]},
    ]
}


def test_questions_come_in_order_with_title_context_and_place():
    assert [
        (q.title, q.paragraph.text("context"), q.question.text("id"), q.question.place)
        for q in questions(CONTENT, "dev.json")
    ] == [
        ("People", "Ada met Bob.", "q1", "dev.json: data[0].paragraphs[0].qas[0]"),
        ("People", "Ada met Bob.", "q2", "dev.json: data[0].paragraphs[0].qas[1]"),
        ("article 1", "Eve left.", "q3", "dev.json: data[1].paragraphs[1].qas[0]"),
    ]


def test_members_of_a_list_are_parts():
    first, *_ = questions(CONTENT, "dev.json")
    assert [(a.text("text"), a.number("answer_start")) for a in first.question.parts("answers")] == [
        ("Ada", 0),
        ("Bob", 8),
    ]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ([], "data is missing or not a list"),
        ({"data": {}}, "data is missing or not a list"),
        ({"data": [3]}, "data[0].paragraphs is missing or not a list"),
        ({"data": [{"paragraphs": []}, {"paragraphs": [{}]}]}, "data[1].paragraphs[0].qas is missing or not a list"),
    ],
)
def test_what_is_not_nested_so_is_refused_with_its_path_of_keys(content, place):
    with pytest.raises(StudyError) as error:
        list(questions(content, "dev.json"))
    assert str(error.value).startswith(f"dev.json: {place}")


@pytest.mark.parametrize("value", ["0", True, 0.0, None])
def test_nothing_is_taken_for_a_whole_number_but_one(value):
    with pytest.raises(StudyError, match=r"^dev\.json: qas\[2\]\.answer_start is missing or not a whole number"):
        Part({"answer_start": value}, "dev.json: ", "qas[2].").number("answer_start")


def test_a_mapping_is_a_part_that_knows_its_key():
    answers = Part({"answers": {"text": "Ada"}}, "squad: ", "row 3.").part("answers")
    with pytest.raises(StudyError, match=r"^squad: row 3\.answers\.text is missing or not a list"):
        answers.values("text")
