"""Logits to the best answer span per question.

The score of a span is its start logit plus its end logit. Every admissible span is compared, not only those
between the few best starts and ends, and a question's windows compete with one another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows, batches, build, context_mask, pad
from qa_tradeoffs.models.networks import accepted_inputs

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
    scores = start + _highest_of_next(ends, max_answer_tokens)
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
    total = np.einsum("ij,ij->i", begins, _sum_of_next(stops, max_answer_tokens), dtype=np.float64)
    with np.errstate(divide="ignore"):  # no span: log 0
        log_normaliser: Float64 = np.maximum(np.log(total) + above, score)  # at least one span, should all vanish
    return log_normaliser


def _highest_of_next(values: Floats, n: int) -> Floats:
    """The highest of ``values[:, i]`` and the n - 1 after it: (b, W) → (b, W - n + 1), in about log2(n) steps."""
    runs = list(islice(_doubled(np.maximum, values), n.bit_length()))
    longest, rest = runs[-1], n - 2 ** (len(runs) - 1)
    # Two of the longest runs cover n values; that they may overlap changes no maximum.
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
    """Runs of 1, 2, 4, ... values from each value on.

    Rows are laid end to end, so that a step is one pass over memory; what crosses the end of a row is cut off at last.
    """
    run = values.ravel()
    for power in count():
        yield run
        run = combine(run[: -(2**power)], run[2**power :])


def _rows(flat: Floats, shape: tuple[int, ...], n: int) -> Floats:
    """``flat``, of the rows of ``shape`` laid end to end, as rows again: (b, W - n + 1)."""
    whole = np.empty(shape, flat.dtype)
    whole.ravel()[: flat.size] = flat
    return whole[:, : shape[1] - n + 1]


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
    on_cpu = torch.device(device).type == "cpu"
    # An accelerator's memory is for one batch at a time: the other thread meanwhile searches the spans of the last one.
    turn = nullcontext() if on_cpu else threading.Lock()

    @torch.inference_mode()
    def logits(rows: Int64) -> tuple[Floats, Floats]:
        inputs = pad(windows, rows, pad_token_id)
        with turn:
            output = model(**{name: torch.from_numpy(inputs[name]).to(device) for name in inputs if name in accepted})
        return _to_numpy(output.start_logits), _to_numpy(output.end_logits)

    return from_logits(
        logits,
        windows,
        examples,
        max_tokens=max_tokens,
        max_answer_tokens=max_answer_tokens,
        v2=v2,
        progress=progress,
        threads=torch.get_num_threads() if on_cpu else 2,
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
    threads: int = 1,
) -> Predictions:
    """``predict`` with the logits of any source: ``logits`` gives start and end logits of the windows ``rows`` (b,).

    Both are (b, L) float32 or float64, with L the length of the longest of these windows. So many ``threads`` call it
    side by side, each for a batch of its own.
    """
    columns = _per_window(logits, windows, max_tokens, max_answer_tokens, progress, threads)
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
    threads: int,
) -> Float64:
    """The four columns of best_spans and the no-answer score of every window: (5, n_windows)."""

    def of_batch(rows: Int64) -> Float64:
        start, end = logits(rows)
        spans = best_spans(start, end, context_mask(windows, rows, start.shape[1]), max_answer_tokens)
        return np.array((*spans, start[:, 0] + end[:, 0]), np.float64)

    columns = np.empty((5, len(windows.lengths)))
    done = 0
    parts = list(batches(windows.lengths, max_tokens))
    with _side_by_side(threads) as each:
        for rows, found in zip(parts, each(of_batch, parts), strict=True):
            columns[:, rows] = found
            done += len(rows)
            if progress is not None:
                progress(done, columns.shape[1])
    if not np.isfinite(columns[4]).all():
        raise _not_numbers()
    return columns


@contextmanager
def _side_by_side(threads: int) -> Iterator[Callable[..., Iterator[Float64]]]:
    """A map of so many threads that each compute alone.

    On two cores, two batches side by side take less time than one after the other with both cores: what is too small to
    be shared, and all that is between the operations, keeps both of them busy.
    """
    if threads == 1:
        yield map
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(before)  # of the matrix library it is one number for all threads


def _to_numpy(logits: Tensor) -> Floats:
    """On the CPU and at least in float32: half precision would round the sums."""
    wide: Floats = logits.to("cpu", torch.promote_types(logits.dtype, torch.float32)).numpy()
    return wide


def _not_numbers() -> StudyError:
    return StudyError(
        "the model's start and end logits are not all finite numbers: use weights whose training did not "
        "diverge, or a wider number type than the one that overflowed"
    )
