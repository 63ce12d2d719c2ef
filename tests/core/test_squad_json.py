"""SQuAD's nesting: paragraphs have their place, and other content is refused with its path of keys."""

import json
from pathlib import Path
from typing import Any

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.squad_json import Answers, File, Id, Part, Title

N, NO_NUMBERS = "data[0].paragraphs[0].n", ("0", True, 0.0, None)


class Paragraph(Part):
    context: str
    n: int = 0


class Answer(Part):
    text: str
    answer_start: int


def read(folder: Path, content: Any) -> list[tuple[str, str, Paragraph]]:
    (folder / "dev.json").write_text(json.dumps(content))
    return list(File[Paragraph].read(folder / "dev.json"))


def test_paragraphs_come_in_order_with_place_and_title(tmp_path):
    first, *others = ({"context": text, "more": 1} for text in "abc")
    content = {"data": [{"title": "People", "paragraphs": [first]}, {"paragraphs": others}]}
    assert [
        (place.removeprefix(f"{tmp_path}/"), title, part.context) for place, title, part in read(tmp_path, content)
    ] == [
        ("dev.json: data[0].paragraphs[0]", "People", "a"),
        ("dev.json: data[1].paragraphs[0]", "article 1", "b"),
        ("dev.json: data[1].paragraphs[1]", "article 1", "c"),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("data", "must be a mapping of keys"),
        ({"data": {}}, "data: must be a list"),
        ({"data": [3]}, "data[0]: must be a mapping of keys (it is 3)"),
        ({"data": [{"paragraphs": []}, {"paragraphs": [{}]}]}, "data[1].paragraphs[0].context: is missing"),
        *(({"data": [{"paragraphs": [{"context": "", "n": n}]}]}, f"{N}: must be a whole number") for n in NO_NUMBERS),
    ],
)
def test_content_in_another_form_is_refused_with_its_path_of_keys(tmp_path, content, problem):
    with pytest.raises(StudyError) as error:
        read(tmp_path, content)
    assert str(error.value).startswith(f"{tmp_path / 'dev.json'}: {problem}")


FIRST = Answer(text="a", answer_start=0)


class Question(Part):
    id: Id
    title: Title
    answers: Answers[Answer]


@pytest.mark.parametrize(
    ("key", "given", "read_as"),
    [
        ("id", 262, "262"),
        ("title", 7.5, "7.5"),
        ("answers", {"text": ["a", "b"], "answer_start": [0, 2]}, [FIRST, Answer(text="b", answer_start=2)]),
        ("answers", {"text": "a", "answer_start": 0}, [FIRST]),
    ],
)  # fmt: skip
def test_equivalent_variants_are_read_alike(key, given, read_as):
    valid = {"id": "1", "title": "t", "answers": []}
    assert getattr(Question.model_validate(valid | {key: given}), key) == read_as


def test_a_file_may_be_the_list_of_articles_alone(tmp_path):
    content = [{"title": 7, "paragraphs": [{"context": "a"}]}]
    assert [(title, part.context) for _, title, part in read(tmp_path, content)] == [("7", "a")]
