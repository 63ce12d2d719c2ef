"""What a perfect model would score: one that points at the right tokens, within this study's windows and limits.

The right tokens are those that overlap a reference answer, or one token fewer at an end where they hold more than the
reference; of a reference that is too long, or whole in no window, they are its part that fits with the best F1. A
question without an answer is left without one. Questions that are cut to the same tokens, about one context, are one
question to a model: it gets whichever of their answers scores best for all of them.

What is missing to 100 no model can reach by learning, only the study file or the data can give it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.metrics import languages, squad
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.metrics.squad import QuestionScores

Offsets = NDArray[np.int32]

_CHUNK = 4096  # questions whose windows are in memory at a time

# Why an exact match is out of reach.
LONG, WINDOW, OFFSETS, QUESTION = "long answer", "no window", "offsets", "question cut"
CAUSES = {
    LONG: "its answers are longer than max_answer_tokens",
    WINDOW: "its answers are whole in no window",
    OFFSETS: "its answers do not begin and end where tokens do",
    QUESTION: "cut to max_question_tokens it is the same as another question",
}


@dataclass(frozen=True)
class Ceiling:
    """``texts``: a perfect model's answer by question id, and its ``scores``.

    ``causes``: why there is no exact match, by the id of each question that has none. ``cut``: how many questions are
    longer than max_question_tokens; ``longest``: tokens of the longest question.
    """

    texts: dict[str, str]
    scores: QuestionScores
    causes: dict[str, str]
    cut: int
    longest: int


def of(examples: Sequence[Example], tokenizer: Any, reading: Reading, language: str = languages.OFFICIAL) -> Ceiling:
    """The ceiling of these questions, scored by the rules of ``language``."""
    rules = languages.normalizer(language)
    texts, causes = {}, {}
    for begin in range(0, len(examples), _CHUNK):
        chunk = examples[begin : begin + _CHUNK]
        windows = reading.windows(chunk, tokenizer)
        bounds = np.searchsorted(windows.example, np.arange(len(chunk) + 1))
        for example, first, stop in zip(chunk, bounds, bounds[1:], strict=False):
            search = _Search(example, [_context(windows, i) for i in range(first, stop)], reading, rules)
            texts[example.id], causes[example.id] = search.best()
    questions = _tokens([example.question for example in examples], tokenizer)
    for group in _alike(examples, questions, reading.max_question_tokens):
        common = _best_for_all(group, texts, reading.v2, rules)
        for example in group:
            if squad.exact_match(texts[example.id], example.answers, reading.v2, rules):
                causes[example.id] = QUESTION  # on its own it would be in reach
            texts[example.id] = common
    references = {example.id: example.answers for example in examples}
    scores = squad.score_questions(texts, references, reading.v2, rules)
    missed = [scores.ids[row] for row in np.flatnonzero(scores.exact_match < 1)]
    lengths = [len(ids) for ids in questions]
    return Ceiling(
        texts,
        scores,
        {question: causes[question] for question in missed},
        cut=sum(length > reading.max_question_tokens for length in lengths),
        longest=max(lengths),
    )


def records(ceiling: Ceiling, reading: Reading) -> list[Record]:
    """EM and F1 of a perfect model, in points, and how many questions are out of its reach, by cause, or were cut."""
    n, counts = len(ceiling.scores.ids), Counter(ceiling.causes.values())
    points = squad.aggregate(ceiling.scores)
    limits = {LONG: reading.max_answer_tokens, WINDOW: reading.max_length, QUESTION: reading.max_question_tokens}
    found = [Record.of(f"ceiling_{metric}", value, "points", n) for metric, value in points.items()]
    for cause in CAUSES:
        conditions = {"cause": cause, "limit": limits.get(cause)}
        found.append(Record.of("out_of_reach", counts[cause], "questions", n, conditions=conditions))
    conditions = {"limit": reading.max_question_tokens, "longest": ceiling.longest}
    return [*found, Record.of("questions_cut", ceiling.cut, "questions", n, conditions=conditions)]


def table(ceiling: Ceiling, examples: Sequence[Example]) -> pd.DataFrame:
    """The causes for a reader, each with its number of questions and the first of them with the answer that remains."""
    rows = []
    by_id = {example.id: example for example in examples}
    for cause, why in CAUSES.items():
        ids = [question for question, of in ceiling.causes.items() if of == cause]
        if ids:
            example = by_id[ids[0]]
            first = {"first of them": example.question, "reference": example.answers[0] if example.answers else ""}
            rows.append({"no exact match, since": why, "questions": len(ids)} | first | {"best": ceiling.texts[ids[0]]})
    return pd.DataFrame(rows)


class _Search:
    """The best answer to one question among the spans of its windows, given by their context tokens' offsets (n, 2)."""

    def __init__(self, example: Example, windows: list[Offsets], reading: Reading, rules: squad.Normalize) -> None:
        self._example, self._windows = example, windows
        self._limit, self._v2, self._rules = reading.max_answer_tokens, reading.v2, rules

    def best(self) -> tuple[str, str]:
        """The answer, '' where there is none, and what keeps it from an exact match if it is none."""
        best, text, cause = (0.0, 0.0), "", ""
        for reference, begin in zip(self._example.answers, self._example.answer_starts, strict=True):
            spans, obstacle = self._spans(begin, begin + len(reference))
            cause = cause or obstacle
            for start, end in spans:
                found = self._example.context[start:end]
                if found == reference:
                    return found, obstacle
                if (score := squad.score(found, self._example.answers, self._v2, self._rules)) > best:
                    best, text, cause = score, found, obstacle
        return text, cause

    def _spans(self, begin: int, end: int) -> tuple[list[tuple[int, int]], str]:
        """Characters to try for the reference at these, the likeliest first, and what may be in its way."""
        spans: list[tuple[int, int]] = []
        is_long = is_whole = False
        for i, offsets in enumerate(self._windows):
            first = int(np.searchsorted(offsets[:, 1], begin, side="right"))
            last = int(np.searchsorted(offsets[:, 0], end)) - 1
            # A window holds the reference whole where it goes on beyond it, or where the context does not.
            begins = i == 0 or first > 0 or offsets[0, 0] <= begin
            ends = i == len(self._windows) - 1 or last < len(offsets) - 1 or offsets[-1, 1] >= end
            is_long |= last - first >= self._limit
            is_whole |= begins and ends
            spans += [(int(offsets[a, 0]), int(offsets[b, 1])) for a, b in _tries(first, last, self._limit)]
        return spans, LONG if is_long else OFFSETS if is_whole else WINDOW


def _tries(first: int, last: int, limit: int) -> Iterator[tuple[int, int]]:
    """First and last token of the spans to try within ``first`` to ``last``, of at most ``limit`` tokens."""
    if last - first >= limit:
        yield from ((start, start + limit - 1) for start in range(first, last - limit + 2))
        return
    for a, b in ((first, last), (first + 1, last), (first, last - 1), (first + 1, last - 1)):
        if a <= b:
            yield a, b


def _context(windows: Windows, i: int) -> Offsets:
    """Offsets of the context's tokens in window ``i``."""
    first, stop = (windows.splits[i] + bound[i] for bound in windows.context)
    return windows.offsets[first:stop]


def _tokens(questions: Iterable[str], tokenizer: Any) -> list[list[int]]:
    """The whole questions as features.build reads them."""
    texts = [question.lstrip() for question in questions]
    found: list[list[int]] = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)[
        "input_ids"
    ]
    return found


def _alike(examples: Sequence[Example], questions: list[list[int]], limit: int) -> list[list[Example]]:
    """Questions of which one was cut and that then are the same input: groups of two or more different ones."""
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    cut_contexts = {e.context for e, ids in zip(examples, questions, strict=True) if len(ids) > limit}
    for row, (example, ids) in enumerate(zip(examples, questions, strict=True)):
        if example.context in cut_contexts and len(ids) >= limit:
            groups[example.context, *ids[:limit]].append(row)
    return [
        [examples[row] for row in rows] for rows in groups.values() if len({tuple(questions[row]) for row in rows}) > 1
    ]


def _best_for_all(group: list[Example], texts: dict[str, str], v2: bool, rules: squad.Normalize) -> str:
    """Of the answers to each question of a group, the one with the best EM, then F1, over all of them."""

    def total(text: str) -> tuple[float, float]:
        exact, f1 = zip(*(squad.score(text, example.answers, v2, rules) for example in group), strict=True)
        return sum(exact), sum(f1)

    return max((texts[example.id] for example in group), key=total)
