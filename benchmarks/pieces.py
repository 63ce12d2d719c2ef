"""The pieces that are compared, each done by ``plain`` and by ``qa_tradeoffs`` from the same inputs."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks import plain
from benchmarks.comparison import CPU, Comparison, check, compare
from benchmarks.inputs import Float32, Logits
from qa_tradeoffs.data import features
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.engines import pytorch
from qa_tradeoffs.evaluation import answers, scoring
from qa_tradeoffs.evaluation.answers import Predictions, Reading
from qa_tradeoffs.metrics import squad
from qa_tradeoffs.training import collation

# Tokens of a batch, padding included. Of a sample of the questions, larger batches would hold windows of unlike length,
# which those of all questions do not. Where logits are given, no network's activations bound a batch.
MAX_TOKENS, MAX_TOKENS_OF_LOGITS = 2_048, 131_072
PLAIN_BATCH = 8  # windows of an evaluation batch, the Trainer's default: 3,072 tokens
Findings = dict[str, tuple[float, str]]
_TOLERANCE = 1e-4  # logits of a window padded differently, by the rounding of fp32


def feature_building(examples: Sequence[Example], tokenizer: Any, rounds: int = 5) -> Comparison:
    """Questions to windows with labels."""
    return compare(
        "features",
        f"{len(examples):,} questions",
        lambda: plain.training_features(examples, tokenizer),
        lambda: features.build(examples, tokenizer),
        same_windows,
        rounds=rounds,
        warmup=1,
    )


def postprocessing(examples: Sequence[Example], tokenizer: Any, rounds: int = 15) -> Comparison:
    """Logits to answers to scores."""
    windows = features.build(examples, tokenizer)
    padded = plain.evaluation_features(examples, tokenizer)
    start, end = Logits(windows).padded(plain.MAX_LENGTH)

    def by_plain() -> tuple[dict[str, str], dict[str, float], dict[str, float]]:
        texts, scores = plain.answers(examples, padded, start, end)
        return texts, scores, plain.score(texts, examples)

    def by_ours() -> tuple[Predictions, dict[str, float]]:
        found = _from_padded(start, end, windows, examples)
        return found, _score(found, examples)

    size = f"{len(examples):,} questions, {len(windows.lengths):,} windows"
    return compare(
        "postprocessing",
        size,
        by_plain,
        by_ours,
        lambda a, b: same_answers(examples, *a, *b, tolerance=0.0),
        rounds=rounds,
        warmup=1,
    )


def forward_passes(examples: Sequence[Example], tokenizer: Any, network: Any, rounds: int = 5) -> Comparison:
    """Windows to logits; ours with the search for spans, which it does batch by batch."""
    windows = features.build(examples, tokenizer)
    padded = plain.evaluation_features(examples, tokenizer)

    def same_scores(logits: tuple[Float32, Float32], found: Predictions) -> Findings:
        distance = abs(_from_padded(*logits, windows, examples).score - found.score)
        check(bool((distance <= _TOLERANCE).all()), "scores from windows padded to one length differ")
        return {"largest difference of scores": (float(distance.max()), "logits")}

    return compare(
        "forward",
        f"{len(examples):,} questions, {len(windows.lengths):,} windows",
        lambda: plain.logits(network, padded, PLAIN_BATCH),
        lambda: _predicted(network, windows, examples, tokenizer),
        same_scores,
        rounds=rounds,
        warmup=0,
    )


def evaluating(examples: Sequence[Example], tokenizer: Any, network: Any, rounds: int = 4) -> Comparison:
    """Questions to scores, with all that is between; EM and F1 are those of windows padded to one length."""
    windows = features.build(examples, tokenizer)

    def by_plain() -> tuple[Any, ...]:
        padded = plain.evaluation_features(examples, tokenizer)
        logits = plain.logits(network, padded, PLAIN_BATCH)
        texts, scores = plain.answers(examples, padded, *logits)
        return logits, texts, scores, plain.score(texts, examples)

    def by_ours() -> tuple[Predictions, dict[str, float]]:
        found = _predicted(network, features.build(examples, tokenizer), examples, tokenizer)
        return found, _score(found, examples)

    def agreement(of_plain: tuple[Any, ...], of_ours: tuple[Predictions, dict[str, float]]) -> Findings:
        (start, end), texts, span_scores, points = of_plain
        padded = _from_padded(start, end, windows, examples)
        near = abs(padded.score - of_ours[0].score) <= _TOLERANCE
        check(bool(near.all()), "scores from windows padded to one length differ")
        check(_score(padded, examples) == of_ours[1], "EM and F1 differ from those of windows padded to one length")
        return same_answers(examples, texts, span_scores, points, *of_ours, tolerance=_TOLERANCE)

    return compare(
        "evaluation",
        f"{len(examples):,} questions",
        by_plain,
        by_ours,
        agreement,
        rounds=rounds,
        warmup=0,
    )


def training_updates(
    examples: Sequence[Example], tokenizer: Any, network: Any, updates: int = 3, batch_size: int = 16, rounds: int = 5
) -> Comparison:
    """Updates of windows drawn at random, the same on both sides: forward, backward, AdamW.

    Dropout is that of the network's config while it is timed. Without it, the gradient of our loss is the same in parts
    as for windows padded to one length.
    """
    windows = features.build(examples, tokenizer)
    columns = plain.training_features(examples, tokenizer)
    chosen = np.random.default_rng(0).permutation(len(windows.lengths))[: batch_size * updates]
    batches = np.split(chosen, range(batch_size, len(chosen), batch_size))
    padded = [[{name: column[row] for name, column in columns.items()} for row in batch] for batch in batches]
    collate = collation.collator_for(network, windows, tokenizer.pad_token_id, CPU)
    twins = copy.deepcopy(network), copy.deepcopy(network)

    def in_parts(rows: Any) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = collate(rows)["parts"]
        return parts

    def same_updates(_: None, __: None) -> Findings:
        padded_to_one_length = {**plain.collate(padded[0]), "share": 1.0}
        theirs, ours = _gradient(network, [padded_to_one_length]), _gradient(network, in_parts(batches[0]))
        check(abs(theirs[0] - ours[0]) <= _TOLERANCE, "the losses of an update differ")
        distance = float((theirs[1] - ours[1]).norm() / theirs[1].norm())
        check(distance <= _TOLERANCE, "the gradients of an update differ")
        widths = sum(part["input_ids"].numel() for rows in batches for part in in_parts(rows))
        return {
            "mean window": (float(windows.lengths[chosen].mean()), "tokens"),
            "parts of an update": (sum(len(in_parts(rows)) for rows in batches) / len(batches), "parts"),
            "our padding": (1 - int(windows.lengths[chosen].sum()) / widths, "of tokens"),
            "distance of gradients": (distance, "of their length"),
        }

    return compare(
        "training",
        f"{updates} updates of {batch_size} of {len(windows.lengths):,} windows",
        lambda: _train(twins[0], padded, lambda net, batch: net(**plain.collate(batch)).loss.backward()),
        lambda: _train(twins[1], batches, lambda net, rows: _backward(net, in_parts(rows))),
        same_updates,
        rounds=rounds,
        warmup=0,
    )


def same_windows(padded: dict[str, list[Any]], windows: Windows) -> Findings:
    """Every window has the same tokens, types and labels."""
    real = np.array(padded["attention_mask"], bool)
    check(real.sum(axis=1).tolist() == windows.lengths.tolist(), "windows differ in length")
    pairs: dict[str, tuple[Any, Any]] = {
        "tokens": (np.array(padded["input_ids"])[real], windows.input_ids),
        "token types": (np.array(padded["token_type_ids"])[real], windows.token_type_ids),
        "start labels": (np.array(padded["start_positions"]), windows.start_labels),
        "end labels": (np.array(padded["end_positions"]), windows.end_labels),
    }
    for what, (theirs, own) in pairs.items():
        check(np.array_equal(theirs, own), f"windows differ in their {what}")
    return {"equal windows": (len(windows.lengths), "windows"), "padding saved": (1 - real.mean(), "of plain's tokens")}


def same_answers(
    examples: Sequence[Example],
    texts: dict[str, str],
    span_scores: dict[str, float],
    points: dict[str, float],
    found: Predictions,
    own_points: dict[str, float],
    *,
    tolerance: float,
) -> Findings:
    """Answers are equal but where ours scores higher; ``tolerance`` (logits) is for sums rounded differently."""
    lead = found.score - np.array([span_scores[i] for i in found.id])
    differs = np.array([texts[i] != text for i, text in zip(found.id, found.text, strict=True)])
    check(bool((lead >= -tolerance).all()), "an answer scores lower than the plain recipe's")
    check(not (differs & (lead == 0)).any(), "answers of the same score differ")
    scored = squad.aggregate(squad.score_questions(texts, {e.id: e.answers for e in examples}))
    check(all(abs(scored[name] - points[name]) < 1e-9 for name in points), "the same answers are scored differently")
    return {
        "equal answers": (int((~differs).sum()), "questions"),
        "better answers": (int((lead > tolerance).sum()), "questions"),
        **{f"plain {name}": (value, "points") for name, value in points.items()},
        **{f"our {name}": (value, "points") for name, value in own_points.items()},
    }


def _train(network: Any, batches: Sequence[Any], backward: Callable[[Any, Any], object]) -> None:
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-5, weight_decay=0.01)
    for batch in batches:
        backward(network, batch)
        optimizer.step()
        optimizer.zero_grad()


def _backward(network: Any, parts: list[dict[str, Any]]) -> float:
    """Add the gradients of an update's parts, and return its loss."""
    total = 0.0
    for part in parts:
        loss = collation.part_loss(network, part)
        loss.backward()
        total += loss.item()
    return total


def _gradient(network: Any, parts: list[dict[str, Any]]) -> tuple[float, torch.Tensor]:
    """Loss and gradient of an update without dropout."""
    network.eval()
    network.zero_grad()
    loss = _backward(network, parts)
    return loss, torch.cat([weight.grad.flatten() for weight in network.parameters() if weight.grad is not None])


def _predicted(network: Any, windows: Windows, examples: Sequence[Example], tokenizer: Any) -> Predictions:
    engine = pytorch.Engine(network, tokenizer.pad_token_id, CPU)
    return answers.predict(engine, windows, examples, Reading(batch_tokens=MAX_TOKENS))


@dataclass(frozen=True)
class Padded:
    """An engine whose logits (n_windows, L) are there already."""

    start: Float32
    end: Float32

    def logits(self, windows: Windows, rows: Any) -> tuple[Float32, Float32]:
        """Those of the windows ``rows``."""
        width = int(windows.lengths[rows].max())
        return self.start[rows, :width], self.end[rows, :width]

    def side_by_side(self) -> Any:
        """As for a network on a CPU."""
        return pytorch.side_by_side(torch.get_num_threads())


def _from_padded(start: Float32, end: Float32, windows: Windows, examples: Sequence[Example]) -> Predictions:
    return answers.predict(Padded(start, end), windows, examples, Reading(batch_tokens=MAX_TOKENS_OF_LOGITS))


def _score(found: Predictions, examples: Sequence[Example]) -> dict[str, float]:
    frame = scoring.score(found, examples, v2=False, threshold=0.0)
    return {name: 100 * float(frame[name].mean()) for name in ("exact_match", "f1")}
