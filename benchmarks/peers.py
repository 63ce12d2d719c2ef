"""What a careful user would run instead: transformers' Trainer with its own collators and loss.

As in transformers' example run_qa.py: the fast tokenizer cuts windows, padded to ``max_length`` or, with ``dynamic``,
by the collator to the longest of their batch; loops over windows make labels, loops over the best starts and ends
choose answers. It uses nothing of ``qa_tradeoffs`` except the type of an example, so that agreement is meaningful.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, disable_progress_bars
from numpy.typing import NDArray
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, default_data_collator

from qa_tradeoffs.data.example import Example

MAX_LENGTH, STRIDE, MAX_ANSWER_TOKENS, N_BEST = 384, 128, 30, 20

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Peer:
    """One way of padding; ``bf16`` is the Trainer's argument, ``folder`` is for the Trainer's files."""

    tokenizer: Any
    folder: str
    dynamic: bool
    bf16: bool = False

    def training_features(self, examples: Sequence[Example]) -> Dataset:
        """A row per window: the model's inputs, start_positions and end_positions, 0 without an answer."""

        def prepare(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
            encoded = self._encoded(batch)
            rows, offsets = encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")
            labels = [
                _labels(batch["answer"][row], batch["answer_start"][row], encoded.sequence_ids(window), offsets[window])
                for window, row in enumerate(rows)
            ]
            encoded["start_positions"], encoded["end_positions"] = map(list, zip(*labels, strict=True))
            return dict(encoded)

        return self._mapped(examples, prepare)

    def evaluation_features(self, examples: Sequence[Example]) -> Dataset:
        """A row per window: the model's inputs, example_id, and offset_mapping, None outside the context."""

        def prepare(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
            encoded = self._encoded(batch)
            encoded["example_id"] = [batch["id"][row] for row in encoded.pop("overflow_to_sample_mapping")]
            encoded["offset_mapping"] = [
                [span if part == 1 else None for span, part in zip(offsets, encoded.sequence_ids(i), strict=True)]
                for i, offsets in enumerate(encoded["offset_mapping"])
            ]
            return dict(encoded)

        return self._mapped(examples, prepare)

    def trainer(self, network: Any, windows: Dataset | None = None, **arguments: Any) -> Trainer:
        """The Trainer with this padding's collator; ``windows`` keep their order."""
        settings = TrainingArguments(
            output_dir=self.folder, bf16=self.bf16, use_cpu=network.device.type == "cpu", save_strategy="no",
            train_sampling_strategy="sequential", disable_tqdm=True, report_to="none", **arguments,
        )  # fmt: skip
        collator = DataCollatorWithPadding(self.tokenizer) if self.dynamic else default_data_collator
        return Trainer(model=network, args=settings, train_dataset=windows, data_collator=collator)

    def _encoded(self, batch: dict[str, list[Any]]) -> Any:
        return self.tokenizer(
            [question.lstrip() for question in batch["question"]],
            batch["context"],
            truncation="only_second",
            max_length=MAX_LENGTH,
            stride=STRIDE,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=False if self.dynamic else "max_length",
        )

    def _mapped(self, examples: Sequence[Example], prepare: Any) -> Dataset:
        disable_progress_bars()
        columns = {
            "id": [example.id for example in examples],
            "question": [example.question for example in examples],
            "context": [example.context for example in examples],
            "answer": [example.answers[0] if example.answers else "" for example in examples],
            "answer_start": [example.answer_starts[0] if example.answers else -1 for example in examples],
        }
        return Dataset.from_dict(columns).map(prepare, batched=True, remove_columns=list(columns))


def answers(
    examples: Sequence[Example], windows: Dataset, start_logits: Floats, end_logits: Floats
) -> tuple[dict[str, str], dict[str, float]]:
    """Text and score of each question's best span by id, among N_BEST starts × N_BEST ends in each window."""
    windows_of: dict[str, list[int]] = {}
    for window, example_id in enumerate(windows["example_id"]):
        windows_of.setdefault(example_id, []).append(window)
    texts, scores = {}, {}
    for example in examples:
        candidates = []
        for window in windows_of[example.id]:
            candidates += _candidates(windows[window]["offset_mapping"], start_logits[window], end_logits[window])
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


def _labels(answer: str, start: int, sequence: list[int | None], offsets: list[tuple[int, int]]) -> tuple[int, int]:
    """First and last token of an answer; 0 and 0 if there is none or the window does not contain all of it."""
    if start < 0:
        return 0, 0
    end = start + len(answer)
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
            if max(first, last) >= len(offsets) or offsets[first] is None or offsets[last] is None:
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
