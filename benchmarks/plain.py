"""The plain recipe of extractive question answering, as one writes it with the libraries' public interfaces alone.

Every window padded to one length by the fast tokenizer, loops over windows for labels, over the best starts and ends
for answers and over references for scores. Nothing of ``qa_tradeoffs`` is used but the shape of an example, so that
agreement with it says something.
"""

import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import default_data_collator

from qa_tradeoffs.data.example import Example

MAX_LENGTH, STRIDE, MAX_ANSWER_TOKENS, N_BEST = 384, 128, 30, 20
_INPUTS = ("input_ids", "token_type_ids", "attention_mask")
_CHUNK = 1000  # questions tokenised in one call

Floats = NDArray[np.float32]


def training_features(examples: Sequence[Example], tokenizer: Any) -> dict[str, list[Any]]:
    """Columns of padded windows: the model's inputs, start_positions and end_positions, 0 where there is no answer."""
    columns: dict[str, list[Any]] = {name: [] for name in (*_INPUTS, "start_positions", "end_positions")}
    for chunk, encoded in _tokenized(examples, tokenizer):
        for window, row in enumerate(encoded["overflow_to_sample_mapping"]):
            sequence, offsets = encoded.sequence_ids(window), encoded["offset_mapping"][window]
            start, end = _labels(chunk[row], sequence, offsets)
            columns["start_positions"].append(start)
            columns["end_positions"].append(end)
        for name in _INPUTS:
            columns[name].extend(encoded[name])
    return columns


def evaluation_features(examples: Sequence[Example], tokenizer: Any) -> dict[str, list[Any]]:
    """Columns of padded windows: the model's inputs, example_id, and offset_mapping, None outside the context."""
    columns: dict[str, list[Any]] = {name: [] for name in (*_INPUTS, "example_id", "offset_mapping")}
    for chunk, encoded in _tokenized(examples, tokenizer):
        for window, row in enumerate(encoded["overflow_to_sample_mapping"]):
            sequence, offsets = encoded.sequence_ids(window), encoded["offset_mapping"][window]
            columns["example_id"].append(chunk[row].id)
            columns["offset_mapping"].append(
                [span if part == 1 else None for span, part in zip(offsets, sequence, strict=True)]
            )
        for name in _INPUTS:
            columns[name].extend(encoded[name])
    return columns


def logits(network: Any, features: dict[str, list[Any]], batch_size: int) -> tuple[Floats, Floats]:
    """Start and end logits, each (n_windows, MAX_LENGTH): batches of a fixed size in the order of the windows."""
    network.eval()
    starts, ends = [], []
    for first in range(0, len(features["input_ids"]), batch_size):
        inputs = {name: torch.tensor(features[name][first : first + batch_size]) for name in _INPUTS}
        with torch.no_grad():
            output = network(**inputs)
        starts.append(output.start_logits.numpy())
        ends.append(output.end_logits.numpy())
    return np.concatenate(starts), np.concatenate(ends)


def answers(
    examples: Sequence[Example], features: dict[str, list[Any]], start_logits: Floats, end_logits: Floats
) -> tuple[dict[str, str], dict[str, float]]:
    """Text and score of each question's best span by its id, among the N_BEST starts × N_BEST ends of each window."""
    windows_of: dict[str, list[int]] = {}
    for window, example_id in enumerate(features["example_id"]):
        windows_of.setdefault(example_id, []).append(window)
    texts, scores = {}, {}
    for example in examples:
        candidates = []
        for window in windows_of[example.id]:
            candidates += _candidates(features["offset_mapping"][window], start_logits[window], end_logits[window])
        best = sorted(candidates, key=lambda candidate: candidate["score"], reverse=True)[:N_BEST]
        if not best:  # none of the best starts and ends is a span
            texts[example.id], scores[example.id] = "", -np.inf
            continue
        for candidate in best:
            first, last = candidate["offsets"]
            candidate["text"] = example.context[first:last]
        exponentials = np.exp(np.array([candidate["score"] for candidate in best]) - best[0]["score"])
        for candidate, probability in zip(best, exponentials / exponentials.sum(), strict=True):
            candidate["probability"] = probability
        texts[example.id], scores[example.id] = best[0]["text"], best[0]["score"]
    return texts, scores


def score(texts: dict[str, str], examples: Sequence[Example]) -> dict[str, float]:
    """Exact match and F1 in points by the rules of SQuAD v1.1."""
    exact = f1 = 0.0
    for example in examples:
        text = texts[example.id]
        exact += max(_exact_match(text, reference) for reference in example.answers)
        f1 += max(_f1(text, reference) for reference in example.answers)
    return {"exact_match": 100 * exact / len(examples), "f1": 100 * f1 / len(examples)}


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """The model's inputs and labels of some windows."""
    batch: dict[str, torch.Tensor] = default_data_collator(list(rows))
    return batch


def _tokenized(examples: Sequence[Example], tokenizer: Any) -> Iterator[tuple[Sequence[Example], Any]]:
    """Each chunk of questions with its windows."""
    for first in range(0, len(examples), _CHUNK):
        chunk = examples[first : first + _CHUNK]
        yield (
            chunk,
            tokenizer(
                [example.question.lstrip() for example in chunk],
                [example.context for example in chunk],
                truncation="only_second",
                max_length=MAX_LENGTH,
                stride=STRIDE,
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
                padding="max_length",
            ),
        )


def _labels(example: Example, sequence: list[int | None], offsets: list[tuple[int, int]]) -> tuple[int, int]:
    """First and last token of the first reference answer; 0 and 0 where the window does not hold it wholly."""
    if not example.answers:
        return 0, 0
    start = example.answer_starts[0]
    end = start + len(example.answers[0])
    first, last = 0, len(offsets) - 1
    while sequence[first] != 1:
        first += 1
    while sequence[last] != 1:
        last -= 1
    if offsets[first][0] > start or offsets[last][1] < end:
        return 0, 0
    while first < len(offsets) and offsets[first][0] <= start:
        first += 1
    while offsets[last][1] >= end:
        last -= 1
    return first - 1, last + 1


def _candidates(offsets: list[tuple[int, int] | None], start: Floats, end: Floats) -> list[dict[str, Any]]:
    """The admissible spans between the best starts and the best ends of one window."""
    found = []
    starts = np.argsort(start)[: -N_BEST - 1 : -1].tolist()
    ends = np.argsort(end)[: -N_BEST - 1 : -1].tolist()
    for first in starts:
        for last in ends:
            if offsets[first] is None or offsets[last] is None:
                continue
            if last < first or last - first + 1 > MAX_ANSWER_TOKENS:
                continue
            found.append(
                {
                    "offsets": (offsets[first][0], offsets[last][1]),
                    "score": start[first] + end[last],
                    "start_logit": start[first],
                    "end_logit": end[last],
                }
            )
    return found


def _normalize(text: str) -> str:
    text = "".join(character for character in text.lower() if character not in _PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


_PUNCTUATION = set(string.punctuation)


def _exact_match(text: str, reference: str) -> float:
    return float(_normalize(text) == _normalize(reference))


def _f1(text: str, reference: str) -> float:
    predicted, expected = _normalize(text).split(), _normalize(reference).split()
    shared = sum((Counter(predicted) & Counter(expected)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(predicted), shared / len(expected)
    return 2 * precision * recall / (precision + recall)
