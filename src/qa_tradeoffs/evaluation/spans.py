"""The best answer span of each window and the sum over all its spans, by arithmetic on arrays.

The score of a span is its start logit plus its end logit. All admissible spans are compared, not only those of the
best few starts and ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qa_tradeoffs.core.errors import StudyError

Floats = NDArray[np.floating[Any]]
Float64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Int64 = NDArray[np.int64]

_LOWEST = np.float32(-1e38)  # replaces -inf where differences must be numbers
_FLOAT32_RANGE = 50.0  # exp(-50) and terms that matter beside it are representable in float32, down to exp(-87)


class Spans(NamedTuple):
    """The best span of each window, (b,) each.

    If a window has no admissible span, ``score`` is -inf, and ``start`` and ``end`` are meaningless.
    ``start`` and ``end`` (int64) are its first and last token, counted from the window's beginning.
    ``log_normaliser`` (float64) is the log of the sum of exp(score) over all admissible spans.
    """

    score: Floats
    start: Int64
    end: Int64
    log_normaliser: Float64


def best_spans(start_logits: Floats, end_logits: Floats, context_mask: Bools, max_answer_tokens: int = 30) -> Spans:
    """The best span of each window: logits and mask (b, L), spans of at most ``max_answer_tokens``.

    Both ends must be inside the mask. Among equal scores the lowest start wins, then the lowest end.
    Time is O(b · L · log max_answer_tokens), memory O(b · L).
    Raises StudyError if a logit inside the mask is NaN or infinite.
    """
    finite = np.isfinite(start_logits) & np.isfinite(end_logits)
    if not finite.all() and not (finite | ~context_mask).all():
        raise not_finite()
    b, length = context_mask.shape
    start = np.where(context_mask, start_logits, -np.inf)
    ends = np.full((b, length + max_answer_tokens - 1), -np.inf, start.dtype)
    ends[:, :length] = np.where(context_mask, end_logits, -np.inf)
    # A start's best span ends at the highest of the next end logits: rounding keeps the order of sums.
    scores = start + _highest_of_next(ends, max_answer_tokens)
    row, first = np.arange(b), scores.argmax(axis=1)  # the first of equals
    of_first = start[row, first, None] + ends[row[:, None], first[:, None] + np.arange(max_answer_tokens)]
    score, last = scores[row, first], first + of_first.argmax(axis=1)
    return Spans(score, first, last, _log_normaliser(start, ends, max_answer_tokens, score))


def _log_normaliser(start: Floats, ends: Floats, max_answer_tokens: int, score: Floats) -> Float64:
    """Log of the sum of exp(score) over all spans, (b,)."""
    highest = [np.maximum(logits.max(axis=1, keepdims=True), _LOWEST) for logits in (start, ends)]
    above = (highest[0] + highest[1])[:, 0].astype(np.float64)
    # If the best start and the best end are far above the best span, its term is below float32's range.
    dtype = np.float64 if (above - score)[score > -np.inf].max(initial=0.0) > _FLOAT32_RANGE else start.dtype
    begins, stops = (np.exp(logits - high, dtype=dtype) for logits, high in zip((start, ends), highest, strict=True))
    total = np.einsum("ij,ij->i", begins, _sum_of_next(stops, max_answer_tokens), dtype=np.float64)
    with np.errstate(divide="ignore"):  # no span: log 0
        log_normaliser: Float64 = np.maximum(np.log(total) + above, score)  # the best span, if all terms vanish
    return log_normaliser


def _highest_of_next(values: Floats, n: int) -> Floats:
    """The maximum of ``values[:, i]`` and the n - 1 after it: (b, W) → (b, W - n + 1), in about log2(n) steps."""
    runs = list(islice(_doubled(np.maximum, values), n.bit_length()))
    longest, rest = runs[-1], n - 2 ** (len(runs) - 1)
    # Two of the longest runs cover n values; overlap does not change a maximum.
    return _rows(np.maximum(longest[: longest.size - rest], longest[rest:]), values.shape, n)


def _sum_of_next(values: Floats, n: int) -> Floats:
    """``values[:, i]`` plus the n - 1 after it: (b, W) → (b, W - n + 1), in about 2 log2(n) steps."""
    size, total, done = values.size - n + 1, None, 0
    for power, run in enumerate(islice(_doubled(np.add, values), n.bit_length())):
        if n & 2**power:
            part = run[done : done + size]
            total = part if total is None else total + part
            done += 2**power
    assert total is not None
    return _rows(total, values.shape, n)


def _doubled(combine: np.ufunc, values: Floats) -> Iterator[Floats]:
    """``combine`` over runs of 1, 2, 4, ... values starting at each value.

    Rows are concatenated, so that a step is one pass over memory; runs that cross the end of a row are cut off later.
    """
    run = values.ravel()
    for power in count():
        yield run
        run = combine(run[: -(2**power)], run[2**power :])


def _rows(flat: Floats, shape: tuple[int, ...], n: int) -> Floats:
    """``flat``, the concatenated rows of ``shape``, as rows again: (b, W - n + 1)."""
    whole = np.empty(shape, flat.dtype)
    whole.ravel()[: flat.size] = flat
    return whole[:, : shape[1] - n + 1]


def not_finite() -> StudyError:
    """The error for logits that are NaN or infinite."""
    return StudyError(
        "the model's start and end logits are not all finite numbers: use weights whose training did not "
        "diverge, or a wider number type than the one that overflowed"
    )
