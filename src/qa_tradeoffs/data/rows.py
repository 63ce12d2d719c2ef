"""Typed questions from SQuAD's nesting or flat rows, with substitutes for missing ids and titles."""

import ast
import contextlib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, model_validator

from qa_tradeoffs.core.documents import validated
from qa_tradeoffs.core.squad_json import Answers, File, Id, Part, Text, Title
from qa_tradeoffs.data.checks import Row
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.formats import Contents

MADE = "made-"  # prefix of ids derived from content, which may occur in both splits


def _whole(number: Any) -> Any:
    """16 for 16.0: a column with gaps holds floats."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


class _Answer(Part):
    text: Text
    answer_start: Annotated[int, BeforeValidator(_whole)]


class _Question(Part):
    id: Id | None = None
    question: Text
    answers: Answers[_Answer]
    is_impossible: bool = False

    @model_validator(mode="before")
    @classmethod
    def _answers_in_one_place(cls, row: Any) -> Any:
        return answers_of(row)


class _Paragraph(Part):
    context: Text
    qas: list[_Question]


class _Row(_Question):
    title: Title = None
    context: Text


def typed(files: Sequence[Contents], places: Sequence[str]) -> Iterator[list[Row]]:
    """The questions of each file in order. Raises StudyError naming the place and the first wrong key."""
    made: Counter[str] = Counter()
    for number, (contents, place) in enumerate(zip(files, places, strict=True)):
        found = []
        for where, title, context, question in _parts(contents, place, f" of file {number}" if len(files) > 1 else ""):
            texts, starts = [a.text for a in question.answers], [a.answer_start for a in question.answers]
            key = question.id or _id_of(context, question, made)
            example = Example(key, title, context, question.question, tuple(texts), tuple(starts))
            found.append(Row(where, example, question.is_impossible))
        yield found


def _parts(contents: Contents, place: str, of: str) -> Iterator[tuple[str, str, str, _Question]]:
    """Place, title, context and question. Rows without a title form one article for each context.

    ``of`` distinguishes a file's articles without a title from those of other files.
    """
    if contents.articles is not None:
        for where, title, paragraph in File[_Paragraph].walk({"data": contents.articles}, place, of):
            for i, question in enumerate(paragraph.qas):
                yield f"{where}.qas[{i}]", title, paragraph.context, question
        return
    untitled: dict[str, str] = {}
    for i, row in enumerate(validated(dict[str, list[_Row]], {"rows": contents.rows}, place)["rows"]):
        title = row.title or untitled.setdefault(row.context, f"article {len(untitled)}{of}")
        yield f"{place}: rows[{i}]", title, row.context, row


def _id_of(context: str, question: _Question, made: Counter[str]) -> str:
    """An id derived from the content, numbered if the same question occurred before."""
    content = [context, question.question, [[answer.text, answer.answer_start] for answer in question.answers]]
    key = MADE + hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    made[key] += 1
    return key if made[key] == 1 else f"{key}-{made[key]}"


_ALONE = ("answer_text", "text", "answer")  # columns that may hold a single answer


def answers_of(row: Any) -> Any:
    """A flat row or a question with its answers under ``answers``, whatever columns they were in.

    A single answer may have separate columns; several may be in a table's columns ``answers.text`` and
    ``answers.answer_start``; in a CSV file they are text, as JSON or as printed by Python.
    """
    if not isinstance(row, dict):
        return row
    column = not {*_ALONE}.isdisjoint(row)
    row = {key: value for key, value in row.items() if value is not None}  # tables have None for empty cells
    if "answers" not in row:
        alone = next((row[key] for key in _ALONE if key in row), None)
        if {"answers.text", "answers.answer_start"} <= row.keys():
            row["answers"] = {key: _literal(row[f"answers.{key}"]) for key in ("text", "answer_start")}
        elif alone is not None and "answer_start" in row:
            row["answers"] = {"text": alone, "answer_start": row["answer_start"]}
        elif row.get("is_impossible") is True or (column and {*_ALONE, "answer_start"}.isdisjoint(row)):
            row["answers"] = []
    elif isinstance(row["answers"], str):
        row["answers"] = _literal(row["answers"])
    return row


def _literal(text: Any) -> Any:
    """The value of a text in JSON or Python notation, numpy arrays as lists; the text itself if it is neither.

    It is parsed and never executed.
    """
    if not isinstance(text, str) or not text.lstrip().startswith(("{", "[")):
        return text
    if re.fullmatch(r"\[[\d\s]{,10000}\]", text.strip()):  # as numpy prints integers
        text = re.sub(r"(?<=\d)\s+(?=\d)", ",", text)
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
        return ast.literal_eval(_WithoutCalls().visit(ast.parse(text.strip(), mode="eval")))
    return text


class _WithoutCalls(ast.NodeTransformer):
    """Replaces `array(['a'], dtype=object)` and `np.int64(3)` by their first argument."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return self.visit(node.args[0]) if node.args else node
