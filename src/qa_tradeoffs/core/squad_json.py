"""SQuAD's nesting, data[] > paragraphs[] > qas[] > answers[], as types; other keys are ignored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from qa_tradeoffs.core.documents import read_json, validated

Paragraph = TypeVar("Paragraph")
# A text that has some constraint, even one that all meet, is checked by pydantic to be valid Unicode.
Title = Annotated[str, Field(min_length=0)] | None


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
        for i, article in enumerate(validated(cls, read_json(path), path).data):
            for j, paragraph in enumerate(article.paragraphs):
                yield f"{path}: data[{i}].paragraphs[{j}]", article.title or f"article {i}", paragraph
