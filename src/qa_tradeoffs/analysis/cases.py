"""Questions that one model answers right and another wrong: how many there are, and some of them to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis.compared import Compared
from qa_tradeoffs.analysis.confidence import of_answers
from qa_tradeoffs.analysis.excerpts import Piece, Span, excerpt
from qa_tradeoffs.data.example import Example


@dataclass(frozen=True)
class Answer:
    """What a model answered, '' for none, where in the context (None for none), and how sure it was, in [0, 1]."""

    text: str
    span: Span | None
    confidence: float


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


def sample(compared: Compared, at_most: int = 4, seed: int = 0) -> list[Split]:
    """For every ordered two models some of the questions that the one answers right (EM) and the other does not.

    Drawn at random by ``seed``, in the order of the questions. Only the answers of each model's first seed are read.
    """
    rng = np.random.default_rng(seed)
    frames = {label: frames[0].assign(confidence=of_answers(frames[0])) for label, frames in compared.answers.items()}
    right = {label: frame["exact_match"].to_numpy() == 1 for label, frame in frames.items()}
    splits = []
    for a, b in permutations(compared.labels, 2):
        rows = np.flatnonzero(right[a] & ~right[b])
        chosen = np.sort(rng.choice(rows, min(at_most, len(rows)), replace=False))
        cases = [Case(compared.examples[row], _answer(frames[a], row), _answer(frames[b], row)) for row in chosen]
        splits.append(Split(a, b, len(rows), cases))
    return splits


def _answer(frame: pd.DataFrame, row: int) -> Answer:
    """An answer; in SQuAD v2.0 a span is the best one even where the model preferred to answer nothing."""
    found = frame.iloc[row]
    begin, end, text = int(found["char_start"]), int(found["char_end"]), str(found["prediction"])
    return Answer(text, (begin, end) if text and begin >= 0 else None, float(found["confidence"]))
