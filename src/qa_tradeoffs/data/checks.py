"""Whether questions can be asked and scored: no empty texts, answers at their offsets, unique ids."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.words import counted
from qa_tradeoffs.data.example import Example

Misplaced = Literal["repair", "drop", "refuse"]


class Row(NamedTuple):
    """A question, its place, as in 'dev.json: data[0].paragraphs[2].qas[1]', and whether it is marked impossible."""

    place: str
    example: Example
    impossible: bool = False


# What may be wrong with a question, after "has" or "have".
_BLANK, _EMPTY = "a blank question", "an empty context"
_ABSENT, _MISPLACED = "an answer that does not occur in the context", "an answer that is not at its answer_start"
_NONE = "no answer"


def checked(
    rows: Iterable[Row], source: str, *, v2: bool = False, misplaced: Misplaced = "repair"
) -> tuple[list[Example], tuple[str, ...]]:
    """The examples in order, every answer at its offset, and notes on answers that were moved and questions left out.

    Without ``v2`` every question needs an answer; with it, answers of a question that is marked impossible are ignored.
    ``misplaced='repair'`` moves an answer that is not at its ``answer_start`` to the nearest occurrence of its text,
    and refuses answers that do not occur, blank questions and empty contexts. 'drop' leaves out questions with any of
    these faults, 'refuse' refuses them. Raises StudyError with their number and the first three.
    """
    examples: list[Example] = []
    faulty: dict[str, list[Row]] = {}
    rows = list(rows)
    contradicting = [row for row in rows if row.impossible and row.example.answers]
    for row in rows:
        example = row.example
        if v2 and row.impossible:
            example = replace(example, answers=(), answer_starts=())
        starts = tuple(map(_nearest, [example.context] * len(example.answers), example.answers, example.answer_starts))
        if fault := _fault(example, starts, v2):
            faulty.setdefault(fault, []).append(row)
        if not fault or (fault == _MISPLACED and misplaced == "repair"):
            examples.append(replace(example, answer_starts=starts))
    for fault, having in faulty.items():
        if fault == _NONE or misplaced == "refuse" or (misplaced == "repair" and fault != _MISPLACED):
            raise StudyError(f"{_said(having, len(rows), fault, source, quoting=True)}; {_advice(fault)}")
    if not examples:
        left = f" left of {counted(len(rows), 'question')}" if rows else ""
        raise StudyError(f"{source}: has no question{left}; expected at least one")
    _check_ids(examples, source)
    done = "each was moved to the nearest occurrence of its text" if misplaced == "repair" else "left out"
    notes = [f"{_said(having, len(rows), fault, source)}; {done}" for fault, having in faulty.items()]
    if contradicting:
        taken = "treated as unanswerable" if v2 else "treated as answerable, since the study has no `v2: true`"
        notes.append(f"{_said(contradicting, len(rows), 'an answer but `is_impossible: true`', source)}; {taken}")
    return examples, tuple(notes)


def first_three(names: Sequence[str]) -> str:
    """The first three of several, as in \"first 'a', 'b', 'c'\"."""
    return "first " + ", ".join(f"'{one_line(name, 40)}'" for name in names[:3])


def _fault(example: Example, starts: Sequence[int], v2: bool) -> str:
    """What is wrong with a question, or ''; ``starts`` is where its answers occur."""
    if not example.question.strip():
        return _BLANK
    if not example.context.strip():
        return _EMPTY
    if not example.answers and not v2:
        return _NONE
    if -1 in starts:
        return _ABSENT
    return _MISPLACED if tuple(starts) != example.answer_starts else ""


def _said(having: Sequence[Row], of: int, fault: str, source: str, *, quoting: bool = False) -> str:
    """How many questions have a fault, the first three, and the place of the first.

    ``quoting`` adds the first one's answer: only in errors, since notes may be published.
    """
    place, example, _ = having[0]
    inside = place.removeprefix(source).lstrip(": ")
    absent = [text for text in example.answers if quoting and fault == _ABSENT and text not in example.context]
    at = f"{inside}: {one_line(repr(absent[0]), 60)}" if absent else inside
    verb = "has" if len(having) == 1 else "have"
    names = first_three([row.example.id for row in having])
    return f"{source}: {len(having):,} of {counted(of, 'question')} {verb} {fault}, {names} ({at})"


def _advice(fault: str) -> str:
    if fault == _NONE:
        return "give each question an answer, or set data.v2 to true"
    other = "repair or drop" if fault == _MISPLACED else "drop"
    return f"correct them, or set data.misplaced_answers to {other}"


def _check_ids(examples: Sequence[Example], source: str) -> None:
    repeated, count = Counter(example.id for example in examples).most_common(1)[0]
    if count > 1:
        raise StudyError(f"{source}: the id '{repeated}' occurs {count} times; ids must be unique")


def _nearest(context: str, text: str, start: int) -> int:
    """The offset of ``text`` nearest to ``start``; −1 if it does not occur or is blank."""
    if not text.strip():
        return -1
    if start >= 0 and context.startswith(text, start):
        return start
    offsets = (match.start() for match in re.finditer(f"(?={re.escape(text)})", context))
    return min(offsets, key=lambda offset: abs(offset - start), default=-1)
