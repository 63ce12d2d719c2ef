"""The pieces that are compared, each done by ``plain`` and by ``qa_tradeoffs`` from the same inputs."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks import plain
from benchmarks.comparison import CPU, Comparison, check, compare
from benchmarks.inputs import Float32, Logits
from qa_tradeoffs import evaluation, features, metrics, predictions, training
from qa_tradeoffs.example import Example
from qa_tradeoffs.features import Windows
from qa_tradeoffs.predictions import Predictions

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


def evaluating(examples: Sequence[Example], tokenizer: Any, network: Any, rounds: int = 4) -> Comparison:
    """Questions to scores, with all that is between; EM and F1 are those of windows padded to one length."""
    windows = features.build(examples, tokenizer)

    def by_plain() -> tuple[Any, ...]:
        padded = plain.evaluation_features(examples, tokenizer)
        logits = plain.logits(network, padded, PLAIN_BATCH)
        texts, scores = plain.answers(examples, padded, *logits)
        return logits, texts, scores, plain.score(texts, examples)

    def by_ours() -> tuple[Predictions, dict[str, float]]:
        windows = features.build(examples, tokenizer)
        found = predictions.predict(
            network, windows, examples, device=CPU, max_tokens=MAX_TOKENS, pad_token_id=tokenizer.pad_token_id
        )
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
    """Updates of an epoch over all windows: forward, backward, AdamW, with the dropout of the network's config.

    Ours stand for the epoch: of its updates, ordered by their tokens, the middle ones of equal parts.
    """
    windows = features.build(examples, tokenizer)
    padded = plain.training_batches(plain.training_features(examples, tokenizer), batch_size, updates)
    order = list(training.LengthGrouped(windows.lengths, batch_size, seed=0))
    check(sorted(order) == list(range(len(order))), "an epoch does not have every window once")
    batches = np.split(np.array(order), range(batch_size, len(order), batch_size))[:-1]
    batches.sort(key=lambda rows: int(windows.lengths[rows].sum()))
    chosen = [batches[(2 * i + 1) * len(batches) // (2 * updates)] for i in range(updates)]
    twins = copy.deepcopy(network), copy.deepcopy(network)

    def of_rows(rows: Any) -> dict[str, torch.Tensor]:
        batch = features.pad(windows, rows, tokenizer.pad_token_id)
        batch |= {"start_positions": windows.start_labels[rows], "end_positions": windows.end_labels[rows]}
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    def same_work(_: None, __: None) -> Findings:
        lengths = [windows.lengths[rows] for rows in chosen]
        widths = sum(int(of_batch.max()) * len(of_batch) for of_batch in lengths)
        sizes = {*map(len, padded), *map(len, chosen)}
        check(sizes == {batch_size}, "updates differ in their windows")
        return {
            "mean window": (float(windows.lengths.mean()), "tokens"),
            "mean window of ours": (float(np.concatenate(lengths).mean()), "tokens"),
            "our padding": (1 - sum(int(of_batch.sum()) for of_batch in lengths) / widths, "of tokens"),
        }

    return compare(
        "training",
        f"{updates} updates of {batch_size} of {len(windows.lengths):,} windows",
        lambda: _train(twins[0], padded, plain.collate),
        lambda: _train(twins[1], chosen, of_rows),
        same_work,
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
    scored = metrics.aggregate(metrics.score_questions(texts, {e.id: e.answers for e in examples}))
    check(all(abs(scored[name] - points[name]) < 1e-9 for name in points), "the same answers are scored differently")
    return {
        "equal answers": (int((~differs).sum()), "questions"),
        "better answers": (int((lead > tolerance).sum()), "questions"),
        **{f"plain {name}": (value, "points") for name, value in points.items()},
        **{f"our {name}": (value, "points") for name, value in own_points.items()},
    }


def _train(network: Any, batches: Sequence[Any], collate: Callable[[Any], dict[str, torch.Tensor]]) -> None:
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-5, weight_decay=0.01)
    for batch in batches:
        network(**collate(batch)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def _from_padded(start: Float32, end: Float32, windows: Windows, examples: Sequence[Example]) -> Predictions:
    def of_rows(rows: Any) -> tuple[Float32, Float32]:
        width = int(windows.lengths[rows].max())
        return start[rows, :width], end[rows, :width]

    return predictions.from_logits(of_rows, windows, examples, max_tokens=MAX_TOKENS_OF_LOGITS)


def _score(found: Predictions, examples: Sequence[Example]) -> dict[str, float]:
    frame = evaluation.score(found, examples, v2=False, threshold=0.0)
    return {name: 100 * float(frame[name].mean()) for name in ("exact_match", "f1")}
