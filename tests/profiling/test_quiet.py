"""Readings of hand-made system counters, and what makes a pass contended."""

import os
import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from qa_tradeoffs.metrics.passes import Surroundings
from qa_tradeoffs.profiling import quiet
from tests.profiling.conftest import CPU, CUDA

QUIET = Surroundings(steal=0.02, foreign=0.03, rate=0.9e11)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, ()),
        ({"foreign": 0.06}, ("other programs",)),
        ({"steal": 0.2}, ("other virtual machines",)),
        ({"rate": 0.7e11}, ("a slower processor",)),
        ({"foreign": 0.5, "rate": 0.5e11}, ("other programs", "a slower processor")),
        ({"others": 0, "clock": 1980.0, "throttled": False}, ()),
        ({"others": 1, "throttled": True}, ("another process on the GPU", "a throttled GPU")),
    ],
)
def test_a_pass_is_contended_if_much_was_taken_or_the_product_was_slow(changes, reasons):
    assert quiet.contended(QUIET.model_copy(update=changes), best_rate=1e11) == reasons


class System:
    """Counters of a machine's cores, which tests move; ``own`` is the process's, ``child`` a child's."""

    NoSuchProcess = ProcessLookupError

    def __init__(self, cores: int) -> None:
        self.now = 0.0
        core = {"user": 5.0, "system": 1.0, "idle": 9.0, "iowait": 2.0, "irq": 0.0, "steal": 0.5}
        self.cores = [SimpleNamespace(**core) for _ in range(cores)]
        self.own = SimpleNamespace(user=3.0, system=1.0, children_user=0.0, children_system=0.0)
        self.child = SimpleNamespace(user=1.0, system=0.0)

    def perf_counter(self) -> float:
        return self.now

    def cpu_times(self, percpu: bool) -> list[Any]:
        assert percpu
        return [SimpleNamespace(**vars(core)) for core in self.cores]

    def Process(self) -> Any:  # noqa: N802
        child = SimpleNamespace(cpu_times=lambda: SimpleNamespace(**vars(self.child)))
        return SimpleNamespace(
            cpu_times=lambda: SimpleNamespace(**vars(self.own)), children=lambda recursive: [child] * recursive
        )


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    ours = System(cores=4)
    monkeypatch.setattr(quiet, "psutil", ours)
    monkeypatch.setattr(quiet, "time", ours)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2}, raising=False)
    monkeypatch.setattr(quiet, "peak_meter", lambda device, precision: lambda: 1e11)
    return ours


def test_shares_are_of_the_cores_that_this_process_may_use(system):
    watch = quiet.Watch(CPU, "fp32")
    watch.begin()
    system.now += 10.0  # of two cores: 20 s
    system.cores[0].user += 8.0
    system.cores[2].system += 6.0
    system.cores[2].steal += 2.0
    system.cores[1].user += 10.0  # none of ours
    system.own.user += 9.0
    system.child.user += 1.0
    found = watch.end()
    assert found.foreign == pytest.approx((8 + 6 - 9 - 1) / 20)
    assert found.steal == pytest.approx(2 / 20)


def test_shares_below_the_counters_resolution_are_zero(system):
    watch = quiet.Watch(CPU, "fp32")
    watch.begin()
    system.now += 0.1
    system.cores[0].user += 0.03  # three ticks more than ours, 15 % of so short a pass
    assert watch.end().foreign == 0


def test_the_use_of_this_process_is_never_negative(system):
    watch = quiet.Watch(CPU, "fp32")
    watch.begin()
    system.now += 1.0
    system.own.user += 2.0
    assert watch.end().foreign == 0


def test_the_rate_is_the_lower_of_before_and_after_each_the_best_of_three(system, monkeypatch):
    rates = iter([1.0, 3.0, 2.0, 5.0, 4.0, 1.0, 2.0, 2.0, 2.5])
    monkeypatch.setattr(quiet, "peak_meter", lambda device, precision: lambda: next(rates))
    watch = quiet.Watch(CPU, "fp32")
    assert [watch.end().rate, watch.end().rate] == [3.0, 2.5]


def test_a_busy_process_shows_on_this_machine():
    """With real counters, a spinning child counts as ours, and idle time is not foreign."""
    watch = quiet.Watch(CPU, "fp32")
    watch.begin()
    ended = time.perf_counter() + 0.3
    while time.perf_counter() < ended:
        pass
    found = watch.end()
    assert found.rate > 1e8
    assert 0 <= found.steal <= 1 and 0 <= found.foreign <= 1


class Nvml:
    """NVML for one GPU; a value that is None is not supported."""

    NVML_CLOCK_SM = 1

    class NVMLError(Exception):
        pass

    def __init__(self, processes: int | None, clock: int | None, reasons: int | None) -> None:
        self.answers = {"processes": processes, "clock": clock, "reasons": reasons}

    def _answer(self, name: str) -> int:
        if (value := self.answers[name]) is None:
            raise self.NVMLError
        return value

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[int]:  # noqa: N802
        return [0] * self._answer("processes")

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:  # noqa: N802
        assert (handle, kind) == ("handle", 1)
        return self._answer("clock")

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:  # noqa: N802
        return self._answer("reasons")


@pytest.mark.parametrize(
    ("nvml", "expected"),
    [
        (Nvml(1, 1980, 0x1), quiet.Gpu(0, 1980, False)),  # idle is no reason to worry
        (Nvml(1, 1500, 0x4), quiet.Gpu(0, 1500, False)),  # nor is the board's power limit, which full load reaches
        (Nvml(3, 1200, 0x20 | 0x4), quiet.Gpu(2, 1200, True)),  # too hot
        (Nvml(0, 1980, 0x80), quiet.Gpu(0, 1980, True)),
        (Nvml(None, None, None), quiet.Gpu(None, None, None)),
    ],
)
def test_a_gpu_says_who_else_is_on_it_and_whether_it_is_throttled(nvml, expected, monkeypatch):
    monkeypatch.setattr(quiet, "pynvml", nvml)
    monkeypatch.setattr(quiet, "nvml_handle", lambda device: "handle" if device.type == "cuda" else None)
    ask = quiet._gpu(CUDA)
    assert ask is not None and ask() == expected
    assert quiet._gpu(CPU) is None


def test_a_gpu_is_in_the_surroundings(system, monkeypatch):
    monkeypatch.setattr(quiet, "pynvml", Nvml(2, 1410, 0x40))
    monkeypatch.setattr(quiet, "nvml_handle", lambda device: "handle")
    found = quiet.Watch(torch.device("cuda", 0), "bf16").end()
    assert (found.others, found.clock, found.throttled) == (1, 1410, True)
