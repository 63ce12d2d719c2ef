"""SQuAD's nesting, data[] > paragraphs[] > qas[] > answers[], as types; other keys are ignored.

Common variants are read as well: numeric ids and titles, a list of articles without ``data``, and answers in the Hub's
columns ``text`` and ``answer_start``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from qa_tradeoffs.core.documents import read_json, validated

Paragraph = TypeVar("Paragraph")
Answer = TypeVar("Answer")


def _as_text(value: Any) -> Any:
    """A number as text; anything else unchanged."""
    return str(value) if type(value) in (int, float) and abs(value) < 1e18 else value


def _as_pairs(answers: Any) -> Any:
    """The Hub's answer columns, or a single answer, as SQuAD's list of answers."""
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
        raise ValueError(f"has {len(texts)} text but {len(starts)} answer_start; each answer needs both")
    return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]


# pydantic checks for valid Unicode only where a text has a constraint, even one that always holds.
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
    """The whole file; each reader chooses the parts of a paragraph that it needs."""

    data: list[_Article[Paragraph]]

    @classmethod
    def read(cls, path: Path) -> Iterator[tuple[str, str, Paragraph]]:
        """(place, title or number of the article, paragraph) of each paragraph in order. StudyError names file and key.

        A place reads like 'dev.json: data[0].paragraphs[2]'.
        """
        return cls.walk(read_json(path), path)

    @classmethod
    def walk(cls, content: Any, place: object, of: str = "") -> Iterator[tuple[str, str, Paragraph]]:
        """``read`` for a file's content; ``of`` is appended to the numbers of articles without a title."""
        content = {"data": content} if isinstance(content, list) else content
        for i, article in enumerate(validated(cls, content, place).data):
            for j, paragraph in enumerate(article.paragraphs):
                yield f"{place}: data[{i}].paragraphs[{j}]", article.title or f"article {i}{of}", paragraph
