"""SQuAD's nesting, data[] > paragraphs[] > qas[] > answers[], read in one place: every part knows where it stands."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

from qa_tradeoffs.core.errors import StudyError

T = TypeVar("T")

_EXPECTED: dict[type, str] = {list: "a list", dict: "a mapping", str: "a text", int: "a whole number"}


class Part(NamedTuple):
    """A part of a file: its ``content``, and where it stands, as in 'dev.json: ' and 'data[0].paragraphs[2].'.

    Each method gives what is under a key, and raises a StudyError that names the place where it is of another type.
    """

    content: Any
    source: str
    path: str = ""

    @property
    def place(self) -> str:
        """Where it stands, as a message names it: 'dev.json: data[0].paragraphs[2]'."""
        return self.source + self.path.removesuffix(".")

    def text(self, key: str) -> str:
        """The text under ``key``."""
        return self._child(key, str)

    def number(self, key: str) -> int:
        """The whole number under ``key``."""
        return self._child(key, int)

    def values(self, key: str) -> list[Any]:
        """The list under ``key``."""
        return self._child(key, list)

    def parts(self, key: str) -> list["Part"]:
        """The members of the list under ``key``."""
        return [Part(value, self.source, f"{self.path}{key}[{i}].") for i, value in enumerate(self.values(key))]

    def part(self, key: str) -> "Part":
        """The mapping under ``key``."""
        return Part(self._child(key, dict), self.source, f"{self.path}{key}.")

    def _child(self, key: str, kind: type[T]) -> T:
        value = self.content.get(key) if isinstance(self.content, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise StudyError(
                f"{self.source}{self.path}{key} is missing or not {_EXPECTED[kind]}; expected the format of SQuAD"
            )
        return value


class Question(NamedTuple):
    """A question in its paragraph and article, which is the file's ``number``-th; members are checked when read."""

    number: int
    article: Part
    paragraph: Part
    question: Part

    @property
    def title(self) -> str:
        """The article's title, or its number where it has none."""
        return self.article.text("title") if self.article.content.get("title") else f"article {self.number}"


def questions(content: Any, source: str) -> Iterator[Question]:
    """The questions of a file's ``content`` in order; ``source`` is its name in messages."""
    for number, article in enumerate(Part(content, f"{source}: ").parts("data")):
        for paragraph in article.parts("paragraphs"):
            for question in paragraph.parts("qas"):
                yield Question(number, article, paragraph, question)
