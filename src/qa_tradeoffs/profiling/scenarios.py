"""What real questions take: MLPerf's SingleStream and Offline scenarios, and the phases from text to score.

The scenarios' names and meaning are those of MLPerf inference (Reddi et al. 2020, arXiv 1911.02549, section 3): one
query at a time as soon as the last is answered, and all of them at once. Their lengths are those of the study's
validation questions. A query is a question with all windows of its passage, on the device before the clock starts.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import torch

from qa_tradeoffs.data import features
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Int64, Windows
from qa_tradeoffs.engines import pytorch
from qa_tradeoffs.evaluation import answers, scoring
from qa_tradeoffs.models.networks import accepted_inputs
from qa_tradeoffs.profiling import clock
from qa_tradeoffs.profiling.clock import Call
from qa_tradeoffs.profiling.durations import Timing
from qa_tradeoffs.profiling.latency import Point
from qa_tradeoffs.profiling.workloads import Conditions, Forward, Subject, autocast, number_format, placed
from qa_tradeoffs.study.config import Profile, Study

_PASSES = 3  # of all questions, at least


def sample(examples: Sequence[Example], n: int, seed: int) -> list[Example]:
    """``n`` of the examples, or all where there are fewer, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(examples))[:n]
    return [examples[i] for i in sorted(chosen)]


def points(
    subjects: Sequence[Subject], study: Study, examples: Sequence[Example], tokenizer: Any, *,
    device: torch.device, formats: Sequence[str], seed: int,
) -> list[Point]:  # fmt: skip
    """Both scenarios for every subject but the controls, in every precision, on a sample of the examples.

    Tokens are those of the study's tokenizer for the full-size network too: only their number matters.
    """
    found = []
    for subject in (subject for subject in subjects if not subject.eager_control):
        chosen = sample(examples, subject.questions, seed)
        windows = features.build(chosen, tokenizer, study.training.max_length, study.training.stride)
        for precision in formats:
            make = _Inputs(windows, device, precision, tokenizer.pad_token_id)
            conditions = subject.conditions(device, precision) | _lengths(windows, len(chosen))
            found.append(_single_stream(make, windows, subject, precision, conditions))
            found += [
                _offline(make, windows, size, subject, precision, conditions)
                for size in _batch_sizes(study.profile, windows)
            ]
    return found


def rows(timings: Sequence[Timing], seed: int) -> list[dict[str, Any]]:
    """Record rows of Offline's questions per second, ``best`` marking each network's best batch size."""
    rng = np.random.default_rng(seed)
    offline = [t for t in timings if t.work == "offline" and t.seconds.size]
    found = []
    for timing in offline:
        rivals = [t for t in offline if _same_but_batch(t, timing)]
        questions, seconds = int(timing.conditions["questions"] or 0), timing.interval(rng)
        found.append(
            {
                "metric": "offline_questions_per_second",
                "value": _per_second(timing),
                "unit": "questions/s",
                "n": timing.seconds.size,
                "interval": {"low": questions / seconds.high, "high": questions / seconds.low, "over": "passes"},
                "conditions": timing.conditions | {"best": timing.median == min(t.median for t in rivals)},
            }
        )
    return found


def summary(timings: Sequence[Timing]) -> pd.DataFrame:
    """Both scenarios for a reader: percentiles of a question's latency, questions per second of a pass."""
    return pd.DataFrame([_summary(timing) for timing in timings if "scenario" in timing.conditions])


def phase_summary(timings: Sequence[Timing]) -> pd.DataFrame:
    """The phases for a reader."""
    total = sum(timing.median for timing in timings)
    return pd.DataFrame(
        [
            {
                "phase": timing.conditions["phase"],
                "ms per question": 1000 * timing.median,
                "share": f"{100 * timing.median / total:.0f} %",
                "passes": timing.seconds.size,
            }
            for timing in timings
        ]
    )


def phases(
    subject: Subject, study: Study, examples: Sequence[Example], tokenizer: Any, *,
    device: torch.device, precision: str, seed: int,
) -> list[Timing]:  # fmt: skip
    """Seconds per question of each phase of notebook 2, on a sample: tokenise, forward, post-process, score.

    'post-process' is all of predicting that is not the network: padding, copying to and from the device, spans.
    """
    chosen = sample(examples, subject.questions, seed)
    with placed(subject, device) as network, number_format(precision), autocast(device, precision):
        pipeline = _Pipeline(network, study, chosen, tokenizer, device)
        with pipeline.forward_timed():
            found = clock.repeat(
                [pipeline.tokenise, pipeline.predict, pipeline.score],
                device, warmup=1, at_least=_PASSES, for_seconds=study.profile.min_seconds,
            ).seconds  # fmt: skip
    forward = np.array(pipeline.forward[-len(found) :])
    conditions = subject.conditions(device, precision) | {"questions": len(chosen)}
    parts = {
        "tokenise": found[:, 0],
        "forward": forward,
        "post-process": found[:, 1] - forward,
        "score": found[:, 2],
    }
    return [
        Timing("phase", seconds[:, None] / len(chosen), conditions | {"phase": name, "inputs": "validation questions"})
        for name, seconds in parts.items()
    ]


class _Inputs:
    """Calls of a network that answer some of the windows."""

    def __init__(self, windows: Windows, device: torch.device, precision: str, pad_token_id: int) -> None:
        self._windows, self._device, self._precision, self._pad = windows, device, precision, pad_token_id

    def __call__(self, network: Any, window_rows: Int64) -> Forward:
        accepted = accepted_inputs(network)
        padded = features.pad(self._windows, window_rows, self._pad)
        batch = {k: torch.from_numpy(v).to(self._device) for k, v in padded.items() if k in accepted}
        return Forward(network, batch, self._precision)


class _Pipeline:
    """The phases of answering and scoring questions, each to be called after the one before."""

    def __init__(
        self, network: Any, study: Study, examples: list[Example], tokenizer: Any, device: torch.device
    ) -> None:
        self._network, self._study, self._examples = network, study, examples
        self._tokenizer, self._device = tokenizer, device
        self.forward: list[float] = []

    def tokenise(self) -> None:
        recipe = self._study.training
        self._windows = features.build(self._examples, self._tokenizer, recipe.max_length, recipe.stride)

    def predict(self) -> None:
        self.forward.append(0.0)
        engine = pytorch.Engine(self._network, self._tokenizer.pad_token_id, self._device)
        self._answers = answers.predict(engine, self._windows, self._examples, answers.Reading.of(self._study))

    def score(self) -> None:
        threshold = self._study.evaluation.no_answer_threshold
        scoring.score(self._answers, self._examples, v2=self._study.data.v2, threshold=threshold)

    @contextmanager
    def forward_timed(self) -> Iterator[None]:
        """Within the block, the network's own seconds are added up in the last element of ``forward``."""
        began: list[float] = []

        def begin(*_: Any) -> None:
            began.append(clock.now(self._device))

        def end(*_: Any) -> None:
            self.forward[-1] += clock.now(self._device) - began.pop()

        hooks = [self._network.register_forward_pre_hook(begin), self._network.register_forward_hook(end)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _single_stream(
    make: Callable[[Any, Int64], Call], windows: Windows, subject: Subject, precision: str, conditions: Conditions
) -> Point:
    """Each question by itself, one after the other; a pass goes on where the one before ended."""
    stops = np.flatnonzero(np.diff(windows.example)) + 1
    questions = np.split(np.arange(len(windows.lengths)), stops)
    turn = count()

    def prepare(network: Any) -> list[Call]:
        calls = [make(network, of_question) for of_question in questions]
        calls[0]()  # to warm up, without taking a turn
        return [lambda: calls[next(turn) % len(calls)]()]

    conditions = conditions | {"scenario": "SingleStream", "batch_size": 1, "padding": "none: each question alone"}
    return Point(subject, precision, "single_stream", conditions, prepare, warmup=0, at_least=len(questions))


def _offline(
    make: Callable[[Any, Int64], Call], windows: Windows, batch_size: int, subject: Subject, precision: str,
    conditions: Conditions,
) -> Point:  # fmt: skip
    """All questions at once, in batches of windows of like length."""
    order = np.argsort(-windows.lengths, kind="stable")
    batches = [order[begin : begin + batch_size] for begin in range(0, len(order), batch_size)]

    def prepare(network: Any) -> list[Call]:
        calls = [make(network, batch) for batch in batches]
        calls[0]()  # warm-up enough, as no batch is larger
        return [lambda: [call() for call in calls]]

    padding = "windows sorted by length, padded to the longest of a batch"
    conditions = conditions | {"scenario": "Offline", "batch_size": batch_size, "padding": padding}
    return Point(subject, precision, "offline", conditions, prepare, warmup=0, at_least=_PASSES)


def _batch_sizes(plan: Profile, windows: Windows) -> list[int]:
    """Those of the plan that the windows fill; in larger ones they would all be in one batch just the same."""
    smallest, *others = sorted(plan.offline_batch_sizes)
    return [smallest, *(size for size in others if size <= len(windows.lengths))]


def _summary(timing: Timing) -> dict[str, Any]:
    at, done = timing.conditions, timing.seconds.size > 0
    single = timing.work == "single_stream"
    missing = "" if done else "out of memory"
    return {
        "network": f"{at['network']}, {at['attention']}",
        "precision": at["precision"],
        "scenario": at["scenario"],
        "batch": at["batch_size"],
        **{
            f"p{q} (ms)": f"{1000 * np.percentile(timing.seconds, q):.2f}" if single and done else missing
            for q in (50, 90, 99)
        },
        "questions/s": f"{_per_second(timing):.1f}" if done else missing,
        "mean tokens": at["mean_tokens"],
    }


def _per_second(timing: Timing) -> float:
    """Questions per median second."""
    questions = 1 if timing.work == "single_stream" else int(timing.conditions["questions"] or 0)
    return questions / timing.median


def _lengths(windows: Windows, questions: int) -> Conditions:
    lengths = windows.lengths
    return {
        "inputs": "validation questions",
        "questions": questions,
        "windows": len(lengths),
        "mean_tokens": float(lengths.mean()),
        "longest_tokens": int(lengths.max()),
    }


def _same_but_batch(a: Timing, b: Timing) -> bool:
    return a.conditions | {"batch_size": 0} == b.conditions | {"batch_size": 0}
