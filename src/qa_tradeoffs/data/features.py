"""Turn questions and contexts into windows of token ids and labels.

A context too long for the model is cut into overlapping windows, each after the whole question. Every
distinct context is tokenised once, however many questions are asked about it; windows and labels are then
made with array operations, without a Python loop over questions.

Arrays of rows of unequal length are *flat*: all rows are concatenated, and ``splits`` says where each begins,
so that row i is ``flat[splits[i] : splits[i + 1]]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.token_offsets import corrected, surface_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Integers = NDArray[np.integer[Any]]
Int64 = NDArray[np.int64]
Tokens = NDArray[np.int32]  # (n_tokens, 4): id, type and the two offsets, as in Windows


@dataclass(frozen=True, eq=False)
class Windows:
    """Model inputs and labels, flat: the tokens of window i are ``[splits[i], splits[i + 1])``.

    ``input_ids`` (n_tokens,) int32 and ``token_type_ids`` (n_tokens,) int8: as the tokenizer gives them.
    ``offsets`` (n_tokens, 2) int32: first and one-past-last character of each context token in its context;
    (-1, -1) for question and special tokens.
    ``splits`` (n_windows + 1,) int64.
    ``example`` (n_windows,) int32, non-decreasing: the row of a window's example; each example has a window.
    ``start_labels``, ``end_labels`` (n_windows,) int64: first and last token of the first reference answer,
    counted from the window's beginning; both 0, the leading special token, if the answer is not wholly
    inside the window.
    """

    input_ids: NDArray[np.int32]
    token_type_ids: NDArray[np.int8]
    offsets: NDArray[np.int32]
    splits: Int64
    example: NDArray[np.int32]
    start_labels: Int64
    end_labels: Int64

    @cached_property
    def lengths(self) -> Int64:
        """Tokens in each window, (n_windows,) int64."""
        return np.diff(self.splits)

    def tokens_of(self, rows: Integers) -> Int64:
        """Indices of the tokens of these windows, window after window."""
        return _ranges(self.splits[rows], self.lengths[rows])

    @cached_property
    def context(self) -> tuple[Int64, Int64]:
        """First context token of each window and the token after its last: two (n_windows,), equal if it has none."""
        in_context = self.offsets[:, 0] >= 0
        count = np.add.reduceat(in_context, self.splits[:-1], dtype=np.int64)
        before = np.append(np.flatnonzero(in_context), 0)[np.cumsum(count) - count] - self.splits[:-1]
        first = np.where(count > 0, before, 0)
        return first, first + count


def build(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int = 384,
    stride: int = 128,
    max_question_tokens: int = 64,
) -> Windows:
    """Cut one or more examples into windows of at most ``max_length`` tokens.

    ``stride`` is the number of context tokens that successive windows of one example share; a question is
    truncated to ``max_question_tokens`` tokens. Apart from that, the windows are those of the tokenizer
    called on the pair with ``truncation="only_second"`` and ``return_overflowing_tokens=True``; offsets are corrected.
    The windows take 13 bytes per token, and building them about 65: pass large sets in chunks.

    Raises StudyError for a slow tokenizer, one without a leading special token, and a ``max_length`` that
    leaves no room for new context beside the question, the special tokens and the stride.
    """
    if not tokenizer.is_fast:
        raise StudyError(f"tokenizer {type(tokenizer).__name__} gives no offsets: use a fast tokenizer")
    row_of: dict[str, int] = {}
    row = np.array([row_of.setdefault(example.context, len(row_of)) for example in examples])
    special, (n_before, n_between, n_after), question_type, context_type = _special_tokens(tokenizer)
    questions, of_question = _tokenize([example.question.lstrip() for example in examples], tokenizer, question_type)
    contexts, of_context = _tokenize(list(row_of), tokenizer, context_type)
    contexts[:, 2:] = corrected(
        contexts[:, 2:], of_context, list(row_of), lambda rows: surface_of(tokenizer, contexts[rows, 0])
    )
    questions[:, 2:] = -1  # offsets are character positions in the context only

    asked = np.minimum(np.diff(of_question), max_question_tokens)
    room = max_length - len(special) - asked
    tightest = int(room.argmin())
    if room[tightest] <= stride:
        raise StudyError(
            f"max_length {max_length} leaves room for {room[tightest]} context tokens beside question "
            f"{examples[tightest].id}, but windows overlap by stride = {stride} tokens; give a max_length of at least "
            f"{max_length - room[tightest] + stride + 1}, or a smaller stride or max_question_tokens"
        )
    example, first, length = _cut(np.diff(of_context)[row], room, room - stride)
    # A window consists of five ranges of these tokens: special, question, special, context, special.
    tokens = np.concatenate([special, questions, contexts])
    question = len(special) + of_question[example]
    context = len(special) + len(questions) + of_context[row[example]] + first
    begins = np.stack(np.broadcast_arrays(0, question, n_before, context, n_before + n_between), axis=1)
    lengths = np.stack(np.broadcast_arrays(n_before, asked[example], n_between, length, n_after), axis=1)
    tokens = tokens.take(_ranges(begins.ravel(), lengths.ravel()), axis=0)  # many times as fast as indexing

    start, end = (answer[example] - first for answer in _answers(examples, contexts, of_context, row, list(row_of)))
    inside = (start >= 0) & (start <= end) & (end < length)
    before_context = n_before + asked[example] + n_between
    return Windows(
        input_ids=tokens[:, 0].copy(),
        token_type_ids=tokens[:, 1].astype(np.int8),
        offsets=tokens[:, 2:].copy(),
        splits=_splits(lengths.sum(axis=1)),
        example=example.astype(np.int32),
        start_labels=np.where(inside, before_context + start, 0),
        end_labels=np.where(inside, before_context + end, 0),
    )


def pad(windows: Windows, rows: Integers, pad_token_id: int, multiple_of: int = 1) -> dict[str, NDArray[np.int64]]:
    """The windows ``rows`` as a model's inputs: input_ids, attention_mask and token_type_ids, each (b, L) int64.

    L is the length of the longest row, rounded up to a multiple of ``multiple_of``; padding comes last and has type 0.
    """
    lengths = windows.lengths[rows]
    width = -(-int(lengths.max()) // multiple_of) * multiple_of
    real = np.arange(width) < lengths[:, None]  # (b, L), True on each row's own tokens
    source = windows.tokens_of(rows)
    input_ids, token_type_ids = np.full(real.shape, pad_token_id, np.int64), np.zeros(real.shape, np.int64)
    input_ids[real], token_type_ids[real] = windows.input_ids[source], windows.token_type_ids[source]
    return {"input_ids": input_ids, "attention_mask": real.astype(np.int64), "token_type_ids": token_type_ids}


def context_mask(windows: Windows, rows: Integers, width: int) -> NDArray[np.bool_]:
    """True for the context tokens of the windows ``rows``, padded to ``width``: (b, width)."""
    first, stop = (bound[rows, None] for bound in windows.context)
    position = np.arange(width)
    return (first <= position) & (position < stop)


def batches(lengths: Integers, max_tokens: int) -> list[Int64]:
    """Rows in batches of similar length, which keeps padding low: longest first, equal lengths in their order.

    A batch padded to its longest row has at most ``max_tokens`` tokens, or is a single row.
    """
    order = np.argsort(-lengths, kind="stable")
    cut, begin = [], 0
    while begin < len(order):
        size = max(1, max_tokens // int(lengths[order[begin]]))
        cut.append(order[begin : begin + size])
        begin += size
    return cut


def parts(lengths: Integers, own_cost: float, multiple_of: int = 1) -> list[Int64]:
    """The rows of one update in micro-batches of similar length, longest first, at the lowest total cost.

    A micro-batch costs its rows times its longest row, rounded up to a multiple of ``multiple_of``, plus ``own_cost``
    (in tokens) for its calls. The result is optimal among all ways to cut the rows sorted by length; O(n²) for n rows.
    """
    order = np.argsort(-lengths, kind="stable")
    widths = -(-lengths[order] // multiple_of) * multiple_of
    cost, begin = np.zeros(len(order) + 1), np.zeros(len(order) + 1, np.int64)  # of the first n rows; of its last part
    for n in range(1, len(order) + 1):
        of_last_part = widths[:n] * (n - np.arange(n)) + own_cost
        begin[n] = (cost[:n] + of_last_part).argmin()
        cost[n] = cost[begin[n]] + of_last_part[begin[n]]
    cut, stop = [], len(order)
    while stop:
        cut.append(order[begin[stop] : stop])
        stop = int(begin[stop])
    return cut[::-1]


def check_pair(tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that puts no special token before the question. Raises StudyError."""
    part = tokenizer("question", "context").sequence_ids(0)
    if part[0] is not None or 0 not in part or 1 not in part[part.index(0) :]:
        raise StudyError(
            f"tokenizer {type(tokenizer).__name__} does not encode a pair as special token, question, context: "
            "extractive models use the leading special token to say that a window has no answer"
        )


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[Tokens, tuple[int, int, int], int, int]:
    """A pair's special tokens, how many stand before, between and after its parts, and the parts' token types."""
    check_pair(tokenizer)
    pair = tokenizer("question", "context", return_token_type_ids=True)
    part = pair.sequence_ids(0)
    ids, types = pair["input_ids"], pair["token_type_ids"]
    question, context = part.index(0), part.index(1)
    special = np.array([(ids[i], types[i], -1, -1) for i, of in enumerate(part) if of is None], np.int32)
    between = part[:context].count(None) - question
    return special, (question, between, len(special) - question - between), types[question], types[context]


def _tokenize(texts: list[str], tokenizer: PreTrainedTokenizerBase, token_type: int) -> tuple[Tokens, Int64]:
    """The tokens of whole texts, without special tokens, and where each text begins and ends among them."""
    # Calling the tokenizer itself takes twice as long: it makes Python lists of every field that an encoding has.
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()  # a tokenizer file may ask for both
    backend.no_padding()
    encoded = backend.encode_batch(texts, add_special_tokens=False)
    splits = _splits([len(text) for text in encoded])
    tokens = np.full((int(splits[-1]), 4), token_type, np.int32)
    tokens[:, 0] = np.fromiter(chain.from_iterable(text.ids for text in encoded), np.int32, len(tokens))
    spans = chain.from_iterable(chain.from_iterable(text.offsets for text in encoded))
    tokens[:, 2:] = np.fromiter(spans, np.int32, 2 * len(tokens)).reshape(-1, 2)
    return tokens, splits


def _cut(totals: Int64, room: Int64, step: Int64) -> tuple[Int64, Int64, Int64]:
    """Cut contexts of ``totals`` tokens (n_examples,) into parts of at most ``room``, one every ``step``.

    Returns for each part its example, its first token in the context and its length; an empty context has one part.
    """
    n_parts = 1 + np.maximum(0, -((room - totals) // step))  # 1 + ceil((totals - room) / step)
    example = np.repeat(np.arange(len(totals)), n_parts)
    first = _ranges(np.zeros_like(n_parts), n_parts) * step[example]
    return example, first, np.minimum(room[example], totals[example] - first)


def _answers(
    examples: Sequence[Example], contexts: Tokens, splits: Int64, row: Int64, texts: list[str]
) -> tuple[Int64, Int64]:
    """First and last token of each example's first reference answer, counted in its context: two (n_examples,).

    These are the first token that ends after the answer's first character and the last that starts before its end:
    -1 for an unanswerable question; first > last if the answer's characters became no token.
    """
    answers = [(e.answer_starts[0], len(e.answers[0])) if e.answers else (-1, 0) for e in examples]
    start, length = np.array(answers).T
    # In the concatenation of all contexts, token positions only rise: one sorted array serves every search.
    base = _splits([len(text) for text in texts])[:-1]
    token_start, token_end = (contexts[:, 2:] + np.repeat(base, np.diff(splits))[:, None]).T
    first = np.searchsorted(token_end, base[row] + start, side="right") - splits[row]
    last = np.searchsorted(token_start, base[row] + start + length) - 1 - splits[row]
    return np.where(start >= 0, first, -1), np.where(start >= 0, last, -1)


def _splits(lengths: Sequence[int] | Int64) -> Int64:
    """Where rows of these lengths begin when concatenated, then where the last one ends."""
    return np.append(0, np.cumsum(lengths, dtype=np.int64))


def _ranges(begins: Int64, lengths: Int64) -> Int64:
    """``arange(begin, begin + length)`` of every row, concatenated."""
    splits = _splits(lengths)
    return np.arange(splits[-1]) + np.repeat(begins - splits[:-1], lengths)


def summary(windows: Windows) -> dict[str, str]:
    """The number and the lengths of the windows, for a reader."""
    lengths = windows.lengths
    return {
        "windows": f"{len(lengths):,}",
        "tokens per window, median": f"{np.median(lengths):.0f}",
        "tokens per window, 95th percentile": f"{np.percentile(lengths, 95):.0f}",
        "tokens per window, longest": f"{lengths.max()}",
        "windows that hold the answer": f"{100 * np.mean(windows.start_labels > 0):.1f} %",
    }
