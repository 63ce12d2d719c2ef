"""Passes over hand-made calls that advance a clock: order, repeats, and which attempts count."""

from collections.abc import Callable
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from qa_tradeoffs.metrics.passes import Surroundings
from qa_tradeoffs.profiling import clock, side_by_side
from qa_tradeoffs.profiling.side_by_side import Contestant, Work, measure
from tests.profiling.conftest import SETTING


class Machine:
    """A clock that calls move by their seconds, and what else happens in each pass: ``foreign``, in their order."""

    def __init__(self, foreign: list[float]) -> None:
        self.now, self.foreign, self.called, self.before = 0.0, foreign, list[str](), list[str]()

    def perf_counter(self) -> float:
        return self.now

    def call(self, name: str, seconds: float) -> Callable[[], None]:
        def called() -> None:
            self.now += seconds
            self.called.append(name)

        return called

    def contestant(self, name: str, seconds: float, n: int = 1) -> Contestant:
        calls = [self.call(f"{name}{i if n > 1 else ''}", seconds) for i in range(n)]
        return Contestant(calls, lambda: self.before.append(name))

    def begin(self) -> None:
        pass

    def end(self) -> Surroundings:
        return Surroundings(steal=0, foreign=self.foreign.pop(0) if self.foreign else 0.0, rate=1e11)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Machine]:
    def build(*foreign: float) -> Machine:
        made = Machine(list(foreign))
        monkeypatch.setattr(clock, "time", made)
        monkeypatch.setattr(side_by_side, "time", made)
        monkeypatch.setattr(side_by_side.quiet, "Watch", lambda device, precision: made)
        return made

    return build


def work(contestants: dict[str, Contestant], passes: int = 3, **changes: Any) -> Work:
    return Work("single_stream", "study", {"questions": 4}, contestants, passes, **changes)


def test_each_pass_has_the_calls_of_all_in_turns_and_their_medians(machine):
    ours = machine()
    contestants = {"A": ours.contestant("A", 0.02, 4), "B": ours.contestant("B", 0.01, 4)}
    (found,) = measure([work(contestants)], SETTING, repeats=1)
    assert [attempt.outcome.seconds for attempt in found.attempts] == [pytest.approx({"A": 0.02, "B": 0.01})] * 3
    timed = ours.called[4:]  # two each to warm up
    assert len(timed) == 3 * 2 * 4
    # The slower takes 20 ms: three of its calls are a turn of at least 50 ms, and the fourth call is another turn.
    turns = ["".join(group) for _, group in groupby(name[0] for name in timed)]
    assert found.work.conditions["calls_a_turn"] == 3
    for number in range(3):
        of_pass = timed[8 * number : 8 * (number + 1)]
        assert sorted(of_pass) == ["A0", "A1", "A2", "A3", "B0", "B1", "B2", "B3"]
        assert {name[1] for name in of_pass[:6]} == {"0", "1", "2"}  # both have done these before either does the last
    assert len(turns) > 3
    assert len(ours.before) == 2 + 3 * 2 * 2


def test_the_order_within_turns_is_drawn_by_the_seed(machine):
    def order(seed: int) -> list[str]:
        ours = machine()
        contestants = {name: ours.contestant(name, 0.1) for name in "ABC"}
        measure([work(contestants, passes=10)], SETTING.__class__(SETTING.device, ("fp32",), seed), repeats=0)
        return ours.called[6:]

    assert order(0) == order(0) != order(1)
    firsts = [order(0)[3 * i] for i in range(10)]
    assert set(firsts) == {"A", "B", "C"}


def test_all_kinds_of_work_have_their_turn_in_each_pass(machine):
    ours = machine()
    works = [work({"A": ours.contestant("a", 0.1)}, passes=3), work({"A": ours.contestant("b", 0.1)}, passes=4)]
    measure(works, SETTING, repeats=0)
    assert "".join(ours.called) == "aabb" + "ab" * 3 + "b"


def test_with_one_call_per_pass_each_pass_has_a_different_call(machine):
    ours = machine()
    measure([work({"A": ours.contestant("A", 0.1, 2)}, passes=4, one_a_pass=True)], SETTING, repeats=0)
    assert ours.called[2:] == ["A0", "A1", "A0", "A1"]


def test_contended_passes_are_repeated_at_the_end_and_the_quiet_attempt_counts(machine):
    ours = machine(0.0, 0.3, 0.0, 0.0)  # the second pass; the fourth is its repeat
    (found,) = measure([work({"A": ours.contestant("A", 1.0)})], SETTING, repeats=1)
    outcomes = [(a.outcome.number, a.outcome.attempt, a.outcome.contended) for a in found.attempts]
    assert outcomes == [(0, 0, ()), (1, 0, ("other programs",)), (2, 0, ()), (1, 1, ())]
    assert [found.attempts.index(attempt) for attempt in found.counting] == [0, 3, 2]


def test_repeats_end_when_their_time_is_up(machine):
    ours = machine(*[0.3] * 100)  # busy all the time
    (found,) = measure([work({"A": ours.contestant("A", 1.0)}, passes=4)], SETTING, repeats=0.5)
    assert len(found.attempts) == 4 + 2
    assert all(attempt.outcome.contended for attempt in found.attempts)
    (found,) = measure([work({"A": ours.contestant("A", 1.0)}, passes=4)], SETTING, repeats=0)
    assert len(found.attempts) == 4


def test_contestants_that_run_out_of_memory_drop_out_and_the_others_continue(machine):
    ours = machine()

    def too_large() -> None:
        raise torch.OutOfMemoryError

    contestants = {"A": ours.contestant("A", 0.1), "B": Contestant([too_large])}
    (found,) = measure([work(contestants)], SETTING, repeats=0)
    assert found.out_of_memory == ["B"]
    assert [list(attempt.seconds) for attempt in found.attempts] == [["A"]] * 3


def test_other_errors_are_not_treated_as_out_of_memory(machine):
    machine()

    def broken() -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        measure([work({"A": Contestant([broken])})], SETTING, repeats=0)


def test_energy_per_call_is_of_a_models_own_turns(machine, monkeypatch):
    ours = machine()
    monkeypatch.setattr(side_by_side, "energy_meter", lambda device: lambda: 10 * ours.now)  # 10 W
    contestants = {"A": ours.contestant("A", 2.0, 3), "B": ours.contestant("B", 1.0, 3)}
    (found,) = measure([work(contestants)], SETTING, repeats=0)
    assert [attempt.joules for attempt in found.attempts] == [pytest.approx({"A": 20, "B": 10})] * 3


def test_a_slower_product_than_the_best_of_the_run_is_noticed_afterwards(machine):
    ours = machine()
    rates = iter([1e11, 1.5e11, 1.5e11])
    ours.end = lambda: Surroundings(steal=0, foreign=0, rate=next(rates))  # type: ignore[method-assign]
    (found,) = measure([work({"A": ours.contestant("A", 1.0)})], SETTING, repeats=0)
    assert [attempt.outcome.contended for attempt in found.attempts] == [("a slower processor",), (), ()]


def test_each_call_has_its_own_seconds(machine):
    ours = machine()
    calls = [ours.call("x", seconds) for seconds in (1.0, 2.0, 4.0)]
    (found,) = measure([work({"A": Contestant(calls)})], SETTING, repeats=0)
    assert np.stack([attempt.seconds["A"] for attempt in found.attempts]).tolist() == [[1, 2, 4]] * 3
    assert SimpleNamespace(**found.attempts[0].outcome.seconds).A == 2
