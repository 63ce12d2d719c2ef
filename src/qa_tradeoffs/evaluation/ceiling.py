"""The ceiling: the score of a perfect model, which picks the right tokens within this study's windows and limits.

The right tokens are those that overlap a reference answer, or one token fewer at an end where they exceed the
reference. If a reference is too long or no window contains all of it, the part of it with the best F1 is taken. An
unanswerable question is left unanswered. Questions about one context that are truncated to the same tokens are one
question to a model: it gives the answer that scores best over all of them.

Only a change of the study file or the data closes the gap to 100; training cannot.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.metrics import languages, squad
from qa_tradeoffs.metrics.records import Record

_CHUNK = 4096  # questions whose windows are in memory at a time

# Why an exact match is impossible.
LONG, WINDOW, OFFSETS, QUESTION = "long answer", "no window", "offsets", "question cut"
CAUSES = {
    LONG: "its answers are longer than max_answer_tokens",
    WINDOW: "no window contains a whole answer",
    OFFSETS: "its answers do not start and end at token boundaries",
    QUESTION: "truncated to max_question_tokens, it equals another question",
}


def of(
    examples: Sequence[Example], tokenizer: Any, reading: Reading, language: str = languages.OFFICIAL
) -> pd.DataFrame:
    """One row per question, in the order of ``examples``, scored by the rules of ``language``.

    Columns: id, question, tokens (of the whole question), reference (the first), best (a perfect model's answer),
    exact_match (0 or 1), f1 (0 to 1), and cause, the key of CAUSES that prevents an exact match, or ''.
    """
    rules = languages.normalizer(language)
    best, causes = [], []
    for begin in range(0, len(examples), _CHUNK):
        chunk = examples[begin : begin + _CHUNK]
        windows = reading.windows(chunk, tokenizer)
        contexts = [offsets[offsets[:, 0] >= 0] for offsets in np.split(windows.offsets, windows.splits[1:-1])]
        bounds = np.searchsorted(windows.example, np.arange(len(chunk) + 1))
        for example, (first, stop) in zip(chunk, pairwise(bounds), strict=True):
            text, cause = _best(example, contexts[first:stop], reading, rules)
            best.append(text)
            causes.append(cause)
    whole = [example.question.lstrip() for example in examples]
    questions = tokenizer(whole, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
    for rows in _alike(examples, questions, reading.max_question_tokens):
        answers = [best[row] for row in rows]
        scores = [[squad.score(text, examples[row].answers, reading.v2, rules) for row in rows] for text in answers]
        over_all = np.sum(scores, axis=1).tolist()  # EM, then F1
        for i, row in enumerate(rows):
            if scores[i][i][0]:
                causes[row] = QUESTION  # alone, the exact match would be possible
            best[row] = answers[over_all.index(max(over_all))]
    references = {example.id: example.answers for example in examples}
    scored = squad.score_questions(dict(zip(references, best, strict=True)), references, reading.v2, rules)
    columns = {
        "id": scored.ids,
        "question": [example.question for example in examples],
        "tokens": [len(ids) for ids in questions],
        "reference": [example.answers[0] if example.answers else "" for example in examples],
        "best": best,
        "exact_match": scored.exact_match,
        "f1": scored.f1,
        "cause": np.where(scored.exact_match < 1, causes, ""),
    }
    return pd.DataFrame(columns)


def records(ceiling: pd.DataFrame, reading: Reading) -> list[Record]:
    """EM and F1 of a perfect model, in points; the number of questions it misses, by cause; the number truncated."""
    n, cut_to = len(ceiling), reading.max_question_tokens
    limits = {LONG: reading.max_answer_tokens, WINDOW: reading.max_length, QUESTION: cut_to}
    found = [Record.of(f"ceiling_{name}", 100 * ceiling[name].mean(), "points", n) for name in ("exact_match", "f1")]
    for cause in CAUSES:
        conditions = {"cause": cause, "limit": limits.get(cause)}
        count = int((ceiling["cause"] == cause).sum())
        found.append(Record.of("out_of_reach", count, "questions", n, conditions=conditions))
    conditions = {"limit": cut_to, "longest": int(ceiling["tokens"].max())}
    cut = int((ceiling["tokens"] > cut_to).sum())
    return [*found, Record.of("questions_cut", cut, "questions", n, conditions=conditions)]


def table(ceiling: pd.DataFrame) -> pd.DataFrame:
    """The causes for a reader, each with its number of questions, the first of these and its best possible answer."""
    missed = ceiling[ceiling["cause"] != ""]
    first = missed.drop_duplicates("cause").set_index("cause")
    columns = {
        "why no exact match is possible": first.index.map(CAUSES),
        "questions": missed["cause"].value_counts(sort=False),
        "first question": first["question"],
        "reference": first["reference"],
        "best possible answer": first["best"],
    }
    return pd.DataFrame(columns, index=first.index).reset_index(drop=True)


def _best(
    example: Example, windows: list[NDArray[np.int32]], reading: Reading, rules: squad.Normalize
) -> tuple[str, str]:
    """The best answer, '' if there is none, and what prevents an exact match unless that answer is one.

    ``windows`` are the offsets (n, 2) of the context's tokens in each of the question's windows.
    """
    offsets = np.concatenate([windows[0], *(window[reading.stride :] for window in windows[1:])])
    step = len(windows[0]) - reading.stride
    best, text, cause = (0.0, 0.0), "", ""
    for reference, begin in zip(example.answers, example.answer_starts, strict=True):
        first = int(np.searchsorted(offsets[:, 1], begin, side="right"))
        last = int(np.searchsorted(offsets[:, 0], begin + len(reference))) - 1
        parts = [(max(first, i * step), min(last, i * step + len(w) - 1)) for i, w in enumerate(windows)]
        is_long = last - first >= reading.max_answer_tokens
        obstacle = LONG if is_long else OFFSETS if (first, last) in parts else WINDOW
        cause = cause or obstacle
        spans = dict.fromkeys(span for part in parts for span in _tries(*part, reading.max_answer_tokens))
        for a, b in spans:
            found = example.context[offsets[a, 0] : offsets[b, 1]]
            if found == reference:
                return found, obstacle
            if (score := squad.score(found, example.answers, reading.v2, rules)) > best:
                best, text, cause = score, found, obstacle
    return text, cause


def _tries(first: int, last: int, limit: int) -> Iterator[tuple[int, int]]:
    """First and last token of the spans of at most ``limit`` tokens to try between ``first`` and ``last``."""
    if last - first >= limit:
        yield from ((start, start + limit - 1) for start in range(first, last - limit + 2))
        return
    for a, b in ((first, last), (first + 1, last), (first, last - 1), (first + 1, last - 1)):
        if a <= b:
            yield a, b


def _alike(examples: Sequence[Example], questions: list[list[int]], limit: int) -> list[list[int]]:
    """Rows of different questions that become the same input by truncation: groups of two or more."""
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for row, (example, ids) in enumerate(zip(examples, questions, strict=True)):
        groups[example.context, *ids[:limit]].append(row)
    return [rows for rows in groups.values() if len({tuple(questions[row]) for row in rows}) > 1]
