"""One answer per question from the logits of its windows, whichever engine computed them.

All windows of a question compete, and their spans share one probability distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows, batches, build, context_mask
from qa_tradeoffs.evaluation.spans import Float64, Floats, Int64, best_spans, not_finite
from qa_tradeoffs.study.config import Study

_CHUNK = 4096  # questions whose windows are in memory at a time
_BATCHES_EACH = 4  # minimum number of batches per concurrent worker, if there are enough windows

Progress = Callable[[int, int], None]  # takes the number done and the total
Map = Callable[[Callable[[Int64], Float64], Iterable[Int64]], Iterator[Float64]]  # like the built-in map


@dataclass(frozen=True)
class Reading:
    """How questions are read and their answers chosen.

    ``max_length``: tokens per window; neighbouring windows share ``stride`` of them. ``max_question_tokens``: longer
    questions are truncated. ``max_answer_tokens``: tokens of the longest span. ``batch_tokens``: tokens of the largest
    batch, padding included; None: chosen for the engine and the windows. ``v2``: a question may have no answer.
    """

    max_length: int = 384
    stride: int = 128
    max_question_tokens: int = 64
    max_answer_tokens: int = 30
    batch_tokens: int | None = None
    v2: bool = False

    @classmethod
    def of(cls, study: Study) -> Reading:
        """The settings of a study."""
        recipe, plan = study.training, study.evaluation
        return cls(
            recipe.max_length,
            recipe.stride,
            recipe.max_question_tokens,
            plan.max_answer_tokens,
            plan.batch_tokens,
            study.data.v2,
        )

    def windows(self, examples: Sequence[Example], tokenizer: Any) -> Windows:
        """The windows of these examples."""
        return build(examples, tokenizer, self.max_length, self.stride, self.max_question_tokens)


class Engine(Protocol):
    """What computes the logits of a trained network; ``engines`` has a module for each.

    ``at_once``: batches that it computes concurrently. ``batch_tokens``: batch size beyond which it is no faster or
    concurrent batches would take too much memory.
    """

    at_once: int
    batch_tokens: int

    def logits(self, windows: Windows, rows: Int64) -> tuple[Floats, Floats]:
        """Start and end logits of the windows ``rows`` (b,): (b, L) each, float32 or float64, L ≥ the longest length.

        May be called by several threads at once.
        """

    def side_by_side(self) -> AbstractContextManager[Map]:
        """A map over batches that computes ``at_once`` of them at a time."""


def _unseen(done: int, of: int) -> None:
    """Progress that is not shown."""


class Predictions(NamedTuple):
    """One row per question, in the order of the examples.

    ``text`` is the best span ``context[char_start:char_end]``; "" and both -1 if the context has no tokens.
    ``score`` is its start logit + end logit; -inf if there is no span.
    ``probability`` is its share of exp(score) among all admissible spans of all the question's windows and,
    for v2.0, the no-answer option.
    ``no_answer_score`` is the no-answer score - ``score``: above 0, the model prefers not to answer.
    """

    id: NDArray[np.object_]
    text: NDArray[np.object_]
    score: Float64
    probability: Float64
    no_answer_score: Float64
    char_start: Int64
    char_end: Int64


def answer(
    engine: Engine, tokenizer: Any, examples: Sequence[Example], reading: Reading, progress: Progress = _unseen
) -> Predictions:
    """Answer any number of ``examples``, building and releasing windows for some thousand questions at a time.

    ``progress`` counts questions. Raises StudyError if the logits are not finite.
    """

    def of_chunk(begin: int) -> Predictions:
        def windows_done(done: int, of: int) -> None:
            progress(begin + len(chunk) * done // of, len(examples))

        chunk = examples[begin : begin + _CHUNK]
        return predict(engine, reading.windows(chunk, tokenizer), chunk, reading, windows_done)

    chunks = [of_chunk(begin) for begin in range(0, len(examples), _CHUNK)]
    return Predictions(*map(np.concatenate, zip(*chunks, strict=True)))


def predict(
    engine: Engine, windows: Windows, examples: Sequence[Example], reading: Reading, progress: Progress = _unseen
) -> Predictions:
    """Answer ``examples`` from their ``windows`` by features.build; ``progress`` counts windows.

    As in the usual baseline for SQuAD v2.0, the no-answer score is the start logit + end logit of the leading
    special token, minimised over a question's windows.
    """
    columns = _per_window(engine, windows, reading, progress)
    score, first, last, log_normaliser, no_answer = columns  # float64 (n_windows,) each
    begins = np.searchsorted(windows.example, np.arange(len(examples)))  # each question's first window
    best = np.lexsort((-score, windows.example))[begins]  # stable: the earlier window wins ties
    normaliser = np.logaddexp.reduceat(log_normaliser, begins)
    no_answer = np.minimum.reduceat(no_answer, begins)
    if reading.v2:
        normaliser = np.logaddexp(normaliser, no_answer)

    score, token = score[best], windows.splits[best]
    has_span = np.isfinite(score)
    char_start = np.where(has_span, windows.offsets[token + first[best].astype(np.int64), 0], -1).astype(np.int64)
    char_end = np.where(has_span, windows.offsets[token + last[best].astype(np.int64), 1], -1).astype(np.int64)
    spans = zip(examples, char_start.tolist(), char_end.tolist(), strict=True)
    return Predictions(
        id=np.array([example.id for example in examples], object),
        text=np.array([example.context[start:end] if start >= 0 else "" for example, start, end in spans], object),
        score=score,
        probability=np.exp(score - np.where(has_span, normaliser, 0.0)),
        no_answer_score=no_answer - score,
        char_start=char_start,
        char_end=char_end,
    )


def _per_window(engine: Engine, windows: Windows, reading: Reading, progress: Progress) -> Float64:
    """The four columns of best_spans and the no-answer score of every window: (5, n_windows)."""

    def of_batch(rows: Int64) -> Float64:
        start, end = engine.logits(windows, rows)
        spans = best_spans(start, end, context_mask(windows, rows, start.shape[1]), reading.max_answer_tokens)
        return np.array((*spans, start[:, 0] + end[:, 0]), np.float64)

    columns = np.empty((5, len(windows.lengths)))
    done = 0
    parts = batches(windows.lengths, reading.batch_tokens or _batch_tokens(engine, windows))
    # With fewer batches than workers, compute one after the other, each on all cores.
    enough = len(parts) >= engine.at_once
    with engine.side_by_side() if enough else nullcontext(map) as each:
        for rows, part in zip(parts, each(of_batch, parts), strict=True):
            columns[:, rows] = part
            done += len(rows)
            progress(done, columns.shape[1])
    if not np.isfinite(columns[4]).all():
        raise not_finite()
    return columns


def _batch_tokens(engine: Engine, windows: Windows) -> int:
    """Tokens per batch, small enough to keep all workers busy until the end."""
    share = int(windows.lengths.sum()) // (_BATCHES_EACH * engine.at_once)
    return max(1, min(engine.batch_tokens, share))
