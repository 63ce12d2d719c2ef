"""SQuAD's nesting, data[] > paragraphs[] > qas[] > answers[], as types; other keys are ignored.

What tools that write it do otherwise, and what means the same, is read as well: numbers as ids and titles, the articles
alone without ``data``, and answers in the columns ``text`` and ``answer_start`` of the Hub.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from qa_tradeoffs.core.documents import read_json, validated

Paragraph = TypeVar("Paragraph")
Answer = TypeVar("Answer")


def _as_text(value: Any) -> Any:
    """A number as the text that a file would have in quotes."""
    return str(value) if type(value) in (int, float) and abs(value) < 1e18 else value


def _as_pairs(answers: Any) -> Any:
    """The Hub's columns of answers, or one answer alone, as SQuAD's list of answers."""
    if not isinstance(answers, dict):
        return answers
    columns = {key: answers.get(key) for key in ("text", "answer_start")}
    for key, column in columns.items():
        if column is None:
            raise ValueError(f"has no {key}; each answer needs one")
    if not any(isinstance(column, list) for column in columns.values()):
        return [columns]
    texts, starts = (column if isinstance(column, list) else [column] for column in columns.values())
    if len(texts) != len(starts):
        raise ValueError(f"has {len(texts)} text but {len(starts)} answer_start; must be pairs")
    return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]


# A text that has some constraint, even one that all meet, is checked by pydantic to be valid Unicode.
Text = Annotated[str, Field(min_length=0)]
Id = Annotated[Text, BeforeValidator(_as_text)]
Title = Id | None
Answers = Annotated[list[Answer], BeforeValidator(_as_pairs)]


class Part(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(strict=True)


class _Article(Part, Generic[Paragraph]):
    title: Title = None
    paragraphs: list[Paragraph]


class File(Part, Generic[Paragraph]):
    """The whole file; how much of a paragraph is needed depends on who reads it."""

    data: list[_Article[Paragraph]]

    @classmethod
    def read(cls, path: Path) -> Iterator[tuple[str, str, Paragraph]]:
        """In order, where each paragraph is, its article's title or number, and itself. StudyError names file and key.

        A place is as in 'dev.json: data[0].paragraphs[2]'.
        """
        return cls.walk(read_json(path), path)

    @classmethod
    def walk(cls, content: Any, place: object, of: str = "") -> Iterator[tuple[str, str, Paragraph]]:
        """As ``read``, of a file's content; ``of`` is added to the numbers of articles that have no title."""
        content = {"data": content} if isinstance(content, list) else content
        for i, article in enumerate(validated(cls, content, place).data):
            for j, paragraph in enumerate(article.paragraphs):
                yield f"{place}: data[{i}].paragraphs[{j}]", article.title or f"article {i}{of}", paragraph
