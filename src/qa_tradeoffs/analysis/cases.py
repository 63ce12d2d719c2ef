"""Questions that one model answers right and another wrong: how many there are, and some of them to read."""

import re
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
ELLIPSIS = "…"  # with a blank on the side of the text
_BLANK_WITHIN = 30  # code points in which a blank is looked for, to cut between words
_NOT_WORTH = 20  # code points that are not left out: an ellipsis would save no room


@dataclass(frozen=True)
class Answer:
    """What a model answered, '' for none, where in the context (None for none), and its confidence in [0, 1]."""

    text: str
    span: Span | None
    confidence: float


class Piece(NamedTuple):
    """Text of one kind: in all spans of these names, and in no other."""

    text: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One question, the right answer and the wrong one."""

    example: Example
    right: Answer
    wrong: Answer

    @property
    def context(self) -> list[Piece]:
        """The context around all answers; its pieces are in 'reference', 'right' and 'wrong' spans."""
        references = [
            (start, start + len(text))
            for text, start in zip(self.example.answers, self.example.answer_starts, strict=True)
        ]
        right, wrong = ([answer.span] if answer.span else [] for answer in (self.right, self.wrong))
        return excerpt(self.example.context, {"reference": references, "right": right, "wrong": wrong})


@dataclass(frozen=True)
class Split:
    """The ``n`` questions that the model ``right``, with its first seed, gets and ``wrong`` misses; some of them."""

    right: str
    wrong: str
    n: int
    cases: Sequence[Case]


def sample(answers: Answers, at_most: int = 4, seed: int = 0) -> list[Split]:
    """For every ordered two models some of the questions that the one answers right (EM) and the other does not.

    Drawn at random by ``seed``, in the order of the questions. Only the answers of each model's first seed are read.
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
    """The parts of ``text`` within ``around`` (at least 1) code points of spans' ends, ellipses for what is left out.

    Spans may overlap, nest and be empty; a long one loses its middle. Without any the text's beginning is given.
    """
    marked = [(name, begin, end) for name, several in spans.items() for begin, end in several if begin < end]
    ranges = _ranges(text, [end for _, *ends in marked for end in ends], around)
    pieces: list[Piece] = []
    for begin, end in ranges:
        if begin > 0:
            pieces.append(Piece(f" {ELLIPSIS} " if pieces else f"{ELLIPSIS} "))
        pieces += _pieces(text, begin, end, marked)
    return [*pieces, Piece(f" {ELLIPSIS}")] if ranges[-1][1] < len(text) else pieces


def _answer(table: pd.DataFrame, row: int) -> Answer:
    """An answer; in SQuAD v2.0 a span is the best one even where the model preferred to answer nothing."""
    values = table.iloc[row]
    begin, end, text = int(values["char_start"]), int(values["char_end"]), str(values["prediction"])
    return Answer(text, (begin, end) if text and begin >= 0 else None, float(values["confidence"]))


def _pieces(text: str, begin: int, end: int, marked: Sequence[tuple[str, int, int]]) -> list[Piece]:
    """``text[begin:end]`` cut wherever a span begins or ends."""
    inside = {cut for _, *ends in marked for cut in ends if begin < cut < end}
    cuts = [begin, *sorted(inside), end]
    return [
        Piece(text[a:b], tuple(dict.fromkeys(name for name, first, last in marked if first <= a and b <= last)))
        for a, b in pairwise(cuts)
    ]


def _ranges(text: str, ends: Sequence[int], around: int) -> list[Span]:
    """The ranges of ``text`` to show, in order, apart by more than is worth an ellipsis."""
    ranges: list[Span] = []
    for at in sorted(ends) or [0]:
        begin, end = _word_begin(text, at, around), _word_end(text, at, around)
        if ranges and begin - ranges[-1][1] <= _NOT_WORTH:
            ranges[-1] = ranges[-1][0], max(ranges[-1][1], end)
        else:
            ranges.append((begin if begin > _NOT_WORTH else 0, end))
    first, last = ranges[-1]
    ranges[-1] = first, len(text) if len(text) - last <= _NOT_WORTH else last
    return ranges


def _word_begin(text: str, at: int, around: int) -> int:
    """Where the first whole word begins in the ``around`` code points before ``at``; all of them where none is near."""
    begin = at - around
    if begin <= 0:
        return 0
    blank = re.compile(r"\s").search(text, begin, begin + min(around, _BLANK_WITHIN))
    return blank.end() if blank else min(_after_marks(text, begin), at)


def _word_end(text: str, at: int, around: int) -> int:
    """Where the last whole word ends in the ``around`` code points after ``at``; all of them where none is near."""
    end = at + around
    if end >= len(text):
        return len(text)
    near = range(end, end - min(around, _BLANK_WITHIN), -1)
    blank = next((i for i in near if text[i].isspace()), None)
    return _after_marks(text, end) if blank is None else blank


def _after_marks(text: str, at: int) -> int:
    """``at``, or after the combining marks there: they belong to the letter before."""
    while at < len(text) and unicodedata.category(text[at]).startswith("M"):
        at += 1
    return at
