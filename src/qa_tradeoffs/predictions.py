"""Logits to the best answer span per question.

The score of a span is its start logit plus its end logit. Every admissible span is compared, not only those
between the few best starts and ends, and a question's windows compete with one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from qa_tradeoffs.errors import StudyError
from qa_tradeoffs.example import Example
from qa_tradeoffs.features import Windows, batches, context_mask, pad
from qa_tradeoffs.models import accepted_inputs

if TYPE_CHECKING:
    import pandas as pd

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class Spans(NamedTuple):
    """The best span of each window, (b,) each.

    ``score`` is -inf, and ``start`` and ``end`` mean nothing, where a window has no admissible span.
    ``start`` and ``end`` (int64) are its first and last token, counted from the window's beginning.
    ``log_normaliser`` is the log of the summed exp(score) of all admissible spans.
    """

    score: Tensor
    start: Tensor
    end: Tensor
    log_normaliser: Tensor


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


def best_spans(start_logits: Tensor, end_logits: Tensor, context_mask: Tensor, max_answer_tokens: int = 30) -> Spans:
    """The best span of each window: logits and boolean mask (b, L), spans of at most ``max_answer_tokens``.

    Both ends must be inside the mask. Of equal scores the lowest start wins, then the lowest end.
    Time and memory are O(b · L · max_answer_tokens), in float32 or the logits' own type if wider.
    Raises StudyError where a logit inside the mask is NaN or infinite.
    """
    dtype = torch.promote_types(start_logits.dtype, torch.float32)
    outside = ~context_mask
    start = start_logits.to(dtype).masked_fill(outside, -torch.inf)
    end = end_logits.to(dtype).masked_fill(outside, -torch.inf)
    if not bool((start.isfinite() & end.isfinite() | outside).all()):
        raise _not_numbers()
    ends = functional.pad(end, (0, max_answer_tokens - 1), value=-torch.inf).unfold(1, max_answer_tokens, 1)
    scores = (start[:, :, None] + ends).flatten(1)  # [b, i * max_answer_tokens + d] for the span i .. i + d
    score, best = scores.max(dim=1)  # the first of equals
    first = best // max_answer_tokens
    return Spans(score, first, first + best % max_answer_tokens, scores.logsumexp(dim=1))


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
    columns = _per_window(model, windows, device, max_tokens, max_answer_tokens, pad_token_id, progress)
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
    spans = zip(examples, char_start, char_end, strict=True)
    return Predictions(
        id=[example.id for example in examples],
        text=[example.context[start:end] if start >= 0 else "" for example, start, end in spans],
        char_start=char_start,
        char_end=char_end,
        score=score,
        probability=np.exp(score - np.where(found, normaliser, 0.0)),
        no_answer_score=no_answer - score,
    )


def to_frame(predictions: Predictions) -> pd.DataFrame:
    """One row per question, a column per field."""
    import pandas as pd

    return pd.DataFrame({field.name: getattr(predictions, field.name) for field in fields(predictions)})


def _per_window(
    model: torch.nn.Module,
    windows: Windows,
    device: str | torch.device,
    max_tokens: int,
    max_answer_tokens: int,
    pad_token_id: int,
    progress: Callable[[int, int], None] | None,
) -> Float64:
    """The four columns of best_spans and the no-answer score of every window: (5, n_windows)."""
    model.to(device).eval()
    accepted = accepted_inputs(model)
    columns = np.empty((5, len(windows.lengths)))
    done = 0
    for rows in batches(windows.lengths, max_tokens):
        inputs = pad(windows, rows, pad_token_id)
        mask = context_mask(windows, rows, inputs["input_ids"].shape[1])
        tensors = {name: torch.from_numpy(inputs[name]).to(device) for name in inputs if name in accepted}
        with torch.inference_mode():
            output = model(**tensors)
            start, end = output.start_logits, output.end_logits
            spans = best_spans(start, end, torch.from_numpy(mask).to(device), max_answer_tokens)
            no_answer = start[:, 0].to(spans.score.dtype) + end[:, 0]
            columns[:, rows] = torch.stack([*spans, no_answer]).cpu().numpy()
        done += len(rows)
        if progress is not None:
            progress(done, columns.shape[1])
    if not np.isfinite(columns[4]).all():
        raise _not_numbers()
    return columns


def _not_numbers() -> StudyError:
    return StudyError(
        "the model's start and end logits are not all finite numbers: use weights whose training did not "
        "diverge, or a wider number type than the one that overflowed"
    )
