"""What real questions take of a network: MLPerf's SingleStream and Offline scenarios.

The scenarios' names and meaning are those of MLPerf inference (Reddi et al. 2020, arXiv 1911.02549, section 3): one
query at a time as soon as the last is answered, and all of them at once. Their lengths are those of the study's
validation questions. A query is a question with all windows of its passage, on the device before the clock starts.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Int64, Windows
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.metrics.intervals import bootstrap_median
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.models import inputs
from qa_tradeoffs.profiling.clock import Call
from qa_tradeoffs.profiling.latency import Point, Timing
from qa_tradeoffs.profiling.workloads import Conditions, Setting, Subject, forward_pass, together
from qa_tradeoffs.study.config import Study

_PASSES = 3  # of all questions, at least
_Make = Callable[[Any, Int64], Call]  # from a network and rows of the windows


def sample(examples: Sequence[Example], n: int, seed: int) -> list[Example]:
    """``n`` of the examples, or all where there are fewer, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(examples))[:n]
    return [examples[i] for i in sorted(chosen)]


def points(
    subjects: Sequence[Subject], study: Study, examples: Sequence[Example], tokenizer: Any, setting: Setting
) -> list[Point]:
    """Both scenarios for every subject but the controls, in every precision, on a sample of the examples.

    Tokens are those of the study's tokenizer for the full-size network too: only their number matters.
    """
    smallest, *larger = sorted(study.profile.offline_batch_sizes)
    planned = []
    for subject in (subject for subject in subjects if not subject.eager_control):
        chosen = sample(examples, subject.questions, setting.seed)
        windows = Reading.of(study).windows(chosen, tokenizer)
        n, lengths = len(windows.lengths), windows.lengths
        tokens: Conditions = {"mean_tokens": float(lengths.mean()), "longest_tokens": int(lengths.max())}
        inputs: Conditions = {"inputs": "validation questions", "questions": len(chosen), "windows": n, **tokens}
        # In a batch that the windows do not fill they would all be together just the same.
        sizes = [smallest, *(size for size in larger if size <= n)]
        for precision in setting.formats:
            make = partial(_forward, windows, tokenizer.pad_token_id, setting.device, precision)
            conditions = subject.conditions(setting, precision) | inputs
            planned.append(_single_stream(make, windows, subject, conditions))
            planned += [_offline(make, windows, size, subject, conditions) for size in sizes]
    return planned


def records(timings: Sequence[Timing], seed: int) -> list[Record]:
    """Offline's questions per second, ``best`` marking each network's best batch size."""
    rng = np.random.default_rng(seed)
    offline = [timing for timing in timings if timing.work == "offline" and timing.seconds.size]
    throughputs = []
    for timing in offline:
        at, any_batch = timing.conditions, {"batch_size": 0}
        fastest = min(t.median for t in offline if t.conditions | any_batch == at | any_batch)
        questions, seconds = int(at["questions"] or 0), bootstrap_median(timing.seconds, rng)
        throughputs.append(
            Record.of(
                "offline_questions_per_second",
                questions_per_second(timing),
                "questions/s",
                timing.seconds.size,
                interval=Interval(low=questions / seconds.high, high=questions / seconds.low, over="passes"),
                conditions=at | {"best": timing.median == fastest},
            )
        )
    return throughputs


def questions_per_second(timing: Timing) -> float:
    """Questions answered in a median second."""
    questions = 1 if timing.work == "single_stream" else int(timing.conditions["questions"] or 0)
    return questions / timing.median


def _forward(
    windows: Windows, pad_token_id: int, device: torch.device, precision: str, network: Any, rows: Int64
) -> Call:
    """A call of the network that answers these rows of the windows."""
    batch = inputs.of(network).batch(windows, rows, pad_token_id)
    return forward_pass(network, {name: values.to(device) for name, values in batch.items()}, precision)


def _single_stream(make: _Make, windows: Windows, subject: Subject, conditions: Conditions) -> Point:
    """Each question by itself, one after the other; a pass goes on where the one before ended."""
    stops = np.flatnonzero(np.diff(windows.example)) + 1
    questions = np.split(np.arange(len(windows.lengths)), stops)
    turn = count()

    def prepare(network: Any) -> list[Call]:
        calls = [make(network, of_question) for of_question in questions]
        calls[0]()  # to warm up, without taking a turn
        return [lambda: calls[next(turn) % len(calls)]()]

    conditions = conditions | {"scenario": "SingleStream", "batch_size": 1, "padding": "none: each question alone"}
    return Point(subject, "single_stream", conditions, prepare, at_least=len(questions))


def _offline(make: _Make, windows: Windows, batch_size: int, subject: Subject, conditions: Conditions) -> Point:
    """All questions at once, in batches of windows of like length."""
    order = np.argsort(-windows.lengths, kind="stable")
    batches = [order[begin : begin + batch_size] for begin in range(0, len(order), batch_size)]

    def prepare(network: Any) -> list[Call]:
        calls = [make(network, batch) for batch in batches]
        calls[0]()  # warm-up enough, as no batch is larger
        return [together(calls)]

    padding = "windows sorted by length, padded to the longest of a batch"
    conditions = conditions | {"scenario": "Offline", "batch_size": batch_size, "padding": padding}
    return Point(subject, "offline", conditions, prepare, at_least=_PASSES)
