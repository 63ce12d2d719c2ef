"""Logits to the best answer span per question.

The score of a span is its start logit plus its end logit. Every admissible span is compared, not only those
between the few best starts and ends, and a question's windows compete with one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qa_tradeoffs.errors import StudyError
from qa_tradeoffs.example import Example
from qa_tradeoffs.features import Windows, batches, build, context_mask, pad
from qa_tradeoffs.models import accepted_inputs

Floats = NDArray[np.floating[Any]]
Float64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Int64 = NDArray[np.int64]

_CHUNK = 4096  # questions whose windows are in memory at a time
_LOWEST = np.float32(-1e38)  # stands for -inf where a difference with it must be a number
_FLOAT32_RANGE = 50.0  # exp(-50) and what counts beside it are still there in float32, whose smallest is exp(-87)


class Spans(NamedTuple):
    """The best span of each window, (b,) each.

    ``score`` is -inf, and ``start`` and ``end`` mean nothing, where a window has no admissible span.
    ``start`` and ``end`` (int64) are its first and last token, counted from the window's beginning.
    ``log_normaliser`` (float64) is the log of the summed exp(score) of all admissible spans.
    """

    score: Floats
    start: Int64
    end: Int64
    log_normaliser: Float64


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row per question, in the order of the examples.

    ``text`` is the best span ``context[char_start:char_end]``; "" and both -1 where a context has no token.
    ``score`` is its start logit + end logit; -inf where there is none.
    ``probability`` is its share of exp(score) among all admissible spans of all the question's windows and,
    for v2.0, the no-answer option.
    ``no_answer_score`` is the no-answer score - ``score``: above 0, the model prefers not to answer.
    """

    id: list[str]
    text: list[str]
    char_start: Int64
    char_end: Int64
    score: Float64
    probability: Float64
    no_answer_score: Float64

    def with_threshold(self, threshold: float) -> list[str]:
        """The texts, "" (no answer, SQuAD v2.0) where ``no_answer_score`` exceeds ``threshold``."""
        return ["" if lead > threshold else text for text, lead in zip(self.text, self.no_answer_score, strict=True)]


def best_spans(start_logits: Floats, end_logits: Floats, context_mask: Bools, max_answer_tokens: int = 30) -> Spans:
    """The best span of each window: logits and mask (b, L), spans of at most ``max_answer_tokens``.

    Both ends must be inside the mask. Of equal scores the lowest start wins, then the lowest end.
    Time is O(b · L · log max_answer_tokens), memory O(b · L).
    Raises StudyError where a logit inside the mask is NaN or infinite.
    """
    finite = np.isfinite(start_logits) & np.isfinite(end_logits)
    if not finite.all() and not (finite | ~context_mask).all():
        raise _not_numbers()
    b, length = context_mask.shape
    start = np.where(context_mask, start_logits, -np.inf)
    ends = np.full((b, length + max_answer_tokens - 1), -np.inf, start.dtype)
    ends[:, :length] = np.where(context_mask, end_logits, -np.inf)
    # A start's best span ends at the highest of the next end logits: rounding does not change which sum is highest.
    scores = start + _over_next(np.maximum, ends, max_answer_tokens)
    row, first = np.arange(b), scores.argmax(axis=1)  # the first of equals
    of_first = start[row, first, None] + ends[row[:, None], first[:, None] + np.arange(max_answer_tokens)]
    score, last = scores[row, first], first + of_first.argmax(axis=1)
    return Spans(score, first, last, _log_normaliser(start, ends, max_answer_tokens, score))


def _log_normaliser(start: Floats, ends: Floats, max_answer_tokens: int, score: Floats) -> Float64:
    """Log of the summed exp(score) of all spans, (b,)."""
    highest = [np.maximum(logits.max(axis=1, keepdims=True), _LOWEST) for logits in (start, ends)]
    above = (highest[0] + highest[1])[:, 0].astype(np.float64)
    # Where the best start and the best end are far above any span they form, that span needs more than float32's range.
    dtype = np.float64 if (above - score)[score > -np.inf].max(initial=0.0) > _FLOAT32_RANGE else start.dtype
    begins, stops = (np.exp(logits - high, dtype=dtype) for logits, high in zip((start, ends), highest, strict=True))
    total = np.einsum("ij,ij->i", begins, _over_next(np.add, stops, max_answer_tokens), dtype=np.float64)
    with np.errstate(divide="ignore"):  # no span: log 0
        log_normaliser: Float64 = np.maximum(np.log(total) + above, score)  # at least one span, should all vanish
    return log_normaliser


def _over_next(combine: np.ufunc, values: Floats, n: int) -> Floats:
    """``values[:, i]`` combined with the n - 1 values after it: (b, W) → (b, W - n + 1), in about 2 log2(n) steps.

    Runs of 1, 2, 4, ... values are put together, and of these the ones that n is the sum of. Rows are laid end to end,
    so that a step is one pass over memory; what crosses the end of a row is cut off.
    """
    size, total, done, run = values.size - n + 1, None, 0, values.ravel()
    for power in range(n.bit_length()):
        if power > 0:
            half = 2 ** (power - 1)
            run = combine(run[:-half], run[half:])
        if n & 2**power:
            part = run[done : done + size]
            total = part if total is None else combine(total, part)
            done += 2**power
    assert total is not None
    whole = np.empty(values.shape, values.dtype)
    whole.ravel()[:size] = total
    return whole[:, : values.shape[1] - n + 1]


def answer(
    model: torch.nn.Module,
    tokenizer: Any,
    examples: Sequence[Example],
    *,
    max_length: int,
    stride: int,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Predictions:
    """Answer any number of ``examples``: windows are built, answered and let go, some thousand questions at a time.

    ``max_length`` and ``stride`` are those of features.build, ``settings`` those of ``predict``. ``progress`` is told
    questions done and questions in all.
    """

    def of_chunk(begin: int, chunk: Sequence[Example]) -> Predictions:
        def told(done: int, of: int) -> None:
            if progress is not None:
                progress(begin + len(chunk) * done // of, len(examples))

        windows = build(chunk, tokenizer, max_length, stride)
        return predict(model, windows, chunk, pad_token_id=tokenizer.pad_token_id, progress=told, **settings)

    return in_chunks(of_chunk, examples)


def in_chunks(of_chunk: Callable[[int, Sequence[Example]], Predictions], examples: Sequence[Example]) -> Predictions:
    """The rows of all chunks of ``examples``; ``of_chunk`` is given how many examples were before, and its own."""
    parts = [of_chunk(begin, examples[begin : begin + _CHUNK]) for begin in range(0, len(examples), _CHUNK)]

    def column(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    return Predictions(
        id=[i for part in parts for i in part.id],
        text=[text for part in parts for text in part.text],
        char_start=column("char_start"),
        char_end=column("char_end"),
        score=column("score"),
        probability=column("probability"),
        no_answer_score=column("no_answer_score"),
    )


def predict(
    model: torch.nn.Module,
    windows: Windows,
    examples: Sequence[Example],
    *,
    device: str | torch.device,
    max_tokens: int,
    pad_token_id: int,
    max_answer_tokens: int = 30,
    v2: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Answer ``examples`` with the ``windows`` that features.build made of them; ``model`` is left in eval mode.

    ``max_tokens`` bounds a batch, padding included. ``progress`` is told windows done and windows in all.
    As in SQuAD v2.0's customary baseline, the no-answer score is the start logit + end logit of the leading
    special token, the lowest over a question's windows.
    Raises StudyError where the model's logits are not finite.
    """
    model.to(device).eval()
    accepted = accepted_inputs(model)

    @torch.inference_mode()
    def logits(rows: Int64) -> tuple[Floats, Floats]:
        inputs = pad(windows, rows, pad_token_id)
        output = model(**{name: torch.from_numpy(inputs[name]).to(device) for name in inputs if name in accepted})
        return _to_numpy(output.start_logits), _to_numpy(output.end_logits)

    return from_logits(
        logits, windows, examples, max_tokens=max_tokens, max_answer_tokens=max_answer_tokens, v2=v2, progress=progress
    )


def from_logits(
    logits: Callable[[Int64], tuple[Floats, Floats]],
    windows: Windows,
    examples: Sequence[Example],
    *,
    max_tokens: int,
    max_answer_tokens: int = 30,
    v2: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """``predict`` with the logits of any source: ``logits`` gives start and end logits of the windows ``rows`` (b,).

    Both are (b, L) float32 or float64, with L the length of the longest of these windows.
    """
    columns = _per_window(logits, windows, max_tokens, max_answer_tokens, progress)
    score, first, last, log_normaliser, no_answer = columns  # float64 (n_windows,) each
    begins = np.searchsorted(windows.example, np.arange(len(examples)))  # each question's first window
    best = np.lexsort((-score, windows.example))[begins]  # stable: of equal scores the earlier window's
    normaliser = np.logaddexp.reduceat(log_normaliser, begins)
    no_answer = np.minimum.reduceat(no_answer, begins)
    if v2:
        normaliser = np.logaddexp(normaliser, no_answer)

    score, token = score[best], windows.splits[best]
    found = np.isfinite(score)
    char_start = np.where(found, windows.offsets[token + first[best].astype(np.int64), 0], -1).astype(np.int64)
    char_end = np.where(found, windows.offsets[token + last[best].astype(np.int64), 1], -1).astype(np.int64)
    spans = zip(examples, char_start.tolist(), char_end.tolist(), strict=True)
    return Predictions(
        id=[example.id for example in examples],
        text=[example.context[start:end] if start >= 0 else "" for example, start, end in spans],
        char_start=char_start,
        char_end=char_end,
        score=score,
        probability=np.exp(score - np.where(found, normaliser, 0.0)),
        no_answer_score=no_answer - score,
    )


def _per_window(
    logits: Callable[[Int64], tuple[Floats, Floats]],
    windows: Windows,
    max_tokens: int,
    max_answer_tokens: int,
    progress: Callable[[int, int], None] | None,
) -> Float64:
    """The four columns of best_spans and the no-answer score of every window: (5, n_windows)."""
    columns = np.empty((5, len(windows.lengths)))
    done = 0
    for rows in batches(windows.lengths, max_tokens):
        start, end = logits(rows)
        spans = best_spans(start, end, context_mask(windows, rows, start.shape[1]), max_answer_tokens)
        columns[:, rows] = (*spans, start[:, 0] + end[:, 0])
        done += len(rows)
        if progress is not None:
            progress(done, columns.shape[1])
    if not np.isfinite(columns[4]).all():
        raise _not_numbers()
    return columns


def _to_numpy(logits: Tensor) -> Floats:
    """On the CPU and at least in float32: half precision would round the sums."""
    wide: Floats = logits.to("cpu", torch.promote_types(logits.dtype, torch.float32)).numpy()
    return wide


def _not_numbers() -> StudyError:
    return StudyError(
        "the model's start and end logits are not all finite numbers: use weights whose training did not "
        "diverge, or a wider number type than the one that overflowed"
    )
