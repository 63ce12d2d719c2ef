"""Questions that one model answers right and another wrong: their number, and some examples."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import NamedTuple

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis.answers import Answers
from qa_tradeoffs.analysis.calibration import confidence_of
from qa_tradeoffs.data.example import Example

Span = tuple[int, int]  # first code point, and the one after the last
ELLIPSIS = "…"  # with a space on the side of the text
_BLANK_WITHIN = 30  # code points searched for a space, to cut between words
_NOT_WORTH = 20  # shorter gaps are not replaced by an ellipsis


@dataclass(frozen=True)
class Answer:
    """A model's answer ('' for none), its place in the context (None for none), and its confidence in [0, 1]."""

    text: str
    span: Span | None
    confidence: float


class Piece(NamedTuple):
    """Text that is in exactly the spans of these names."""

    text: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One question with the right and the wrong answer."""

    example: Example
    right: Answer
    wrong: Answer

    @property
    def context(self) -> list[Piece]:
        """The context around all answers, in pieces of 'reference', 'right' and 'wrong' spans."""
        references = [
            (start, start + len(text))
            for text, start in zip(self.example.answers, self.example.answer_starts, strict=True)
        ]
        right, wrong = ([answer.span] if answer.span else [] for answer in (self.right, self.wrong))
        return excerpt(self.example.context, {"reference": references, "right": right, "wrong": wrong})


@dataclass(frozen=True)
class Split:
    """Questions that ``right``'s first seed gets right and ``wrong``'s wrong: the number ``n`` and some ``cases``."""

    right: str
    wrong: str
    n: int
    cases: Sequence[Case]


def sample(answers: Answers, at_most: int = 4, seed: int = 0) -> list[Split]:
    """For every ordered pair of models, some questions that the first answers right (EM) and the second does not.

    They are drawn at random with ``seed`` and keep their order. Only each model's first seed is used.
    """
    rng = np.random.default_rng(seed)
    first = {label: tables[0].assign(confidence=confidence_of(tables[0])) for label, tables in answers.tables.items()}
    right = {label: table["exact_match"].to_numpy() == 1 for label, table in first.items()}
    splits = []
    for a, b in permutations(answers.labels, 2):
        rows = np.flatnonzero(right[a] & ~right[b])
        chosen = np.sort(rng.choice(rows, min(at_most, len(rows)), replace=False))
        cases = [Case(answers.examples[row], _answer(first[a], row), _answer(first[b], row)) for row in chosen]
        splits.append(Split(a, b, len(rows), cases))
    return splits


def excerpt(text: str, spans: Mapping[str, Sequence[Span]], around: int = 120) -> list[Piece]:
    """The parts of ``text`` within ``around`` (at least 1) code points of the spans' ends, with ellipses between.

    Spans may overlap, nest and be empty; a long one loses its middle. Without spans, the beginning is returned.
    """
    marked = [(name, begin, end) for name, several in spans.items() for begin, end in several if begin < end]
    ends = sorted({end for _, *ends in marked for end in ends})
    ranges = _ranges(text, ends or [0], around)
    pieces: list[Piece] = []
    for begin, end in ranges:
        if begin > 0:
            pieces.append(Piece(f" {ELLIPSIS} " if pieces else f"{ELLIPSIS} "))
        for a, b in pairwise([begin, *(cut for cut in ends if begin < cut < end), end]):
            names = dict.fromkeys(name for name, first, last in marked if first <= a and b <= last)
            pieces.append(Piece(text[a:b], tuple(names)))
    return [*pieces, Piece(f" {ELLIPSIS}")] if ranges[-1][1] < len(text) else pieces


def _answer(table: pd.DataFrame, row: int) -> Answer:
    """An answer; in SQuAD v2.0 the span columns hold the best span even if the model gave no answer."""
    values = table.iloc[row]
    begin, end, text = int(values["char_start"]), int(values["char_end"]), str(values["prediction"])
    return Answer(text, (begin, end) if text and begin >= 0 else None, float(values["confidence"]))


def _ranges(text: str, ends: Sequence[int], around: int) -> list[Span]:
    """The ranges of ``text`` to show, in order, with gaps large enough for an ellipsis."""
    ranges: list[Span] = []
    near = min(around, _BLANK_WITHIN)
    for at in ends:
        begin = _cut(text, range(at - around, at - around + near), at)
        end = _cut(text, range(at + around, at + around - near, -1), len(text))
        if ranges and begin - ranges[-1][1] <= _NOT_WORTH:
            ranges[-1] = ranges[-1][0], max(ranges[-1][1], end)
        else:
            ranges.append((begin if begin > _NOT_WORTH else 0, end))
    first, last = ranges[-1]
    ranges[-1] = first, len(text) if len(text) - last <= _NOT_WORTH else last
    return ranges


def _cut(text: str, near: range, most: int) -> int:
    """Where to cut the text: at the first space in ``near``, else at its first place, but never within a letter.

    The cut is within the text and not after ``most``. In ascending order it is after the space, which is not shown.
    """
    if not 0 < near[0] < len(text):
        return min(max(near[0], 0), len(text))
    blank = next((i for i in near if text[i : i + 1].isspace()), None)
    if blank is not None:
        return blank + (near.step > 0)
    at = near[0]
    while at < most and unicodedata.category(text[at]).startswith("M"):  # a combining mark belongs to a letter
        at += 1
    return at
