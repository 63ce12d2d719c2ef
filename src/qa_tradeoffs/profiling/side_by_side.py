"""Interleaved timing of several models in one process, so that disturbances slow all of them alike.

In a pass all models make the same calls, a few at a time, in a new random order for each turn. Passes alternate between
all kinds of work, so that drift of the machine affects each. Passes in which the machine was busy with something else
are repeated at the end, while there is time.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch

from qa_tradeoffs.core.progress import Progress
from qa_tradeoffs.metrics.intervals import Floats
from qa_tradeoffs.metrics.passes import Pass, counting
from qa_tradeoffs.models import devices
from qa_tradeoffs.profiling import quiet
from qa_tradeoffs.profiling.clock import Call, energy_meter, now
from qa_tradeoffs.profiling.workloads import Conditions, Setting

_TURN_SECONDS = 0.05  # long compared with switching models, short compared with disturbances


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Contestant:
    """One model in a comparison; number i of its ``calls`` is the same work for all models.

    ``before`` is called, untimed, before each of its turns. ``conditions``: those that differ between contestants.
    """

    calls: Sequence[Call]
    before: Call = _nothing
    conditions: Conditions = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """One kind of work on one kind of network, with all ``contestants`` by name.

    In each of ``passes`` a contestant makes all of its calls, or only the next one if ``one_a_pass``.
    """

    work: str
    network: str
    conditions: Conditions
    contestants: Mapping[str, Contestant]
    passes: int
    one_a_pass: bool = False

    def calls(self, name: str, number: int) -> Sequence[Call]:
        """The calls of a contestant in pass ``number``."""
        calls = self.contestants[name].calls
        return [calls[number % len(calls)]] if self.one_a_pass else calls


class Attempt(NamedTuple):
    """An attempt at a pass; ``seconds``: of each contestant's calls, (n_calls,); ``joules`` per call, if metered."""

    outcome: Pass
    seconds: dict[str, Floats]
    joules: dict[str, float]


class Measured(NamedTuple):
    """All attempts at a work's passes; ``out_of_memory``: contestants that could not take part."""

    work: Work
    attempts: list[Attempt]
    out_of_memory: list[str]

    @property
    def counting(self) -> list[Attempt]:
        """The attempts that count, one per pass, in the order of the passes."""
        outcomes = counting([attempt.outcome for attempt in self.attempts])
        return [attempt for one in outcomes for attempt in self.attempts if attempt.outcome is one]


def measure(works: Sequence[Work], setting: Setting, repeats: float) -> list[Measured]:
    """Time all works pass by pass, then repeat contended passes, for at most ``repeats`` times as long."""
    measured, began = [_warmed_up(work, setting.device) for work in works], time.perf_counter()
    runner = _Runner(setting)
    planned = [(number, one) for number in range(max(w.passes for w in works)) for one in measured
               if number < one.work.passes and one.work.contestants]  # fmt: skip
    progress = Progress("pass", len(planned))
    for done, (number, one) in enumerate(planned, start=1):
        one.attempts.append(runner.attempt(one.work, number, 0))
        progress.update(done)
    deadline = time.perf_counter() + repeats * (time.perf_counter() - began)
    for attempt in range(1, 1 + max(w.passes for w in works)):
        for number, one in planned:
            again = [tried for tried in one.attempts if tried.outcome.number == number]
            if time.perf_counter() < deadline and all(runner.reasons(tried) for tried in again):
                one.attempts.append(runner.attempt(one.work, number, attempt))
    return [one._replace(attempts=list(map(runner.judged, one.attempts))) for one in measured]


class _Runner:
    """Makes attempts and judges them by the machine's best rate in any of them."""

    def __init__(self, setting: Setting) -> None:
        self._device, self._rng = setting.device, np.random.default_rng(setting.seed)
        self._watch, self._meter = quiet.Watch(setting.device, setting.formats[0]), energy_meter(setting.device)
        self._best = 0.0

    def attempt(self, work: Work, number: int, attempt: int) -> Attempt:
        names = list(work.contestants)
        calls = {name: work.calls(name, number) for name in names}
        found: dict[str, list[float]] = {name: [] for name in names}
        joules = dict.fromkeys(names, 0.0)
        self._watch.begin()
        for turn in _turns(len(calls[names[0]]), work):
            for name in self._rng.permutation(names):
                work.contestants[name].before()
                before = self._meter() if self._meter else 0.0
                found[name] += self._timed(calls[name][turn])
                joules[name] += self._meter() - before if self._meter else 0.0
        surroundings = self._watch.end()
        self._best = max(self._best, surroundings.rate)
        seconds = {name: np.array(values) for name, values in found.items()}
        medians = {name: float(np.median(values)) for name, values in seconds.items()}
        outcome = Pass(number=number, attempt=attempt, seconds=medians, surroundings=surroundings)
        per_call = {name: total / len(seconds[name]) for name, total in joules.items()} if self._meter else {}
        return Attempt(outcome, seconds, per_call)

    def reasons(self, tried: Attempt) -> tuple[str, ...]:
        return quiet.contended(tried.outcome.surroundings, self._best)

    def judged(self, tried: Attempt) -> Attempt:
        return tried._replace(outcome=tried.outcome.model_copy(update={"contended": self.reasons(tried)}))

    def _timed(self, calls: Sequence[Call]) -> list[float]:
        """Seconds of each call, with the device synchronised in between."""
        seconds, began = [], now(self._device)
        for call in calls:
            call()
            ended = now(self._device)
            seconds.append(ended - began)
            began = ended
        return seconds


def _turns(n_calls: int, work: Work) -> Iterator[slice]:
    """The calls of each turn."""
    size = int(work.conditions.get("calls_a_turn") or 1)
    return (slice(begin, begin + size) for begin in range(0, n_calls, size))


def _warmed_up(work: Work, device: torch.device) -> Measured:
    """Run each contestant's first call twice, to drop those that are too large and to set the length of turns."""
    contestants, failed, slowest = dict(work.contestants), [], 0.0
    for name, contestant in work.contestants.items():
        try:
            contestant.before()
            contestant.calls[0]()
            began = now(device)
            contestant.calls[0]()
            slowest = max(slowest, now(device) - began)
        except (MemoryError, RuntimeError) as error:
            if not devices.out_of_memory(error):
                raise
            failed.append(name)
            del contestants[name]
    at_once = max(1, math.ceil(_TURN_SECONDS / slowest)) if slowest else 1
    conditions = work.conditions | {"calls_a_turn": 1 if work.one_a_pass else at_once}
    return Measured(replace(work, conditions=conditions, contestants=contestants), [], failed)
