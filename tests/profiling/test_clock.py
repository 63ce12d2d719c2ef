"""The clock with a clock of our own: only calls move it."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from qa_tradeoffs.profiling import clock

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


class Clock:
    """A clock that only calls move: the k-th call takes ``durations[k]`` seconds, later ones the last of them."""

    def __init__(self, *durations: float) -> None:
        self.now, self.calls, self.durations = 100.0, 0, durations

    def perf_counter(self) -> float:
        return self.now

    def call(self) -> None:
        self.now += self.durations[min(self.calls, len(self.durations) - 1)]
        self.calls += 1


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    def replace(ours: Clock) -> Clock:
        monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=ours.perf_counter))
        return ours

    return replace


def test_warm_up_calls_are_not_counted(use):
    ours = use(Clock(64, 32, 1, 2, 4))
    repeats = clock.repeat([ours.call], CPU, warmup=2, at_least=3, for_seconds=0.5)
    assert repeats.seconds.tolist() == [[1], [2], [4]]
    assert repeats.joules is None
    assert ours.calls == 5


def test_calls_are_repeated_until_they_are_many_enough(use):
    ours = use(Clock(8))
    assert clock.repeat([ours.call], CPU, warmup=1, at_least=4, for_seconds=1).seconds.tolist() == [[8]] * 4


def test_calls_are_repeated_until_they_lasted_long_enough(use):
    ours = use(Clock(0.25))
    assert len(clock.repeat([ours.call], CPU, warmup=1, at_least=3, for_seconds=2).seconds) == 8


def test_each_phase_has_its_own_seconds_and_all_count_towards_the_time(use):
    ours = use(Clock(16, 16, 1, 2, 3, 4))
    repeats = clock.repeat([ours.call, ours.call], CPU, warmup=1, at_least=1, for_seconds=10)
    assert repeats.seconds.tolist() == [[1, 2], [3, 4]]


def test_the_device_is_waited_for_before_the_clock_starts_and_after_each_phase(use, monkeypatch):
    ours, heard = use(Clock(1)), []

    def call() -> None:
        ours.call()
        heard.append("call")

    monkeypatch.setattr(clock, "synchronize", lambda device: heard.append(f"wait for {device.type}"))
    clock.repeat([call, call], CUDA, warmup=1, at_least=1, for_seconds=1)
    wait = "wait for cuda"
    assert heard == ["call", "call", wait, "call", wait, "call", wait]


def test_energy_is_the_counters_difference_over_the_timed_repeats_alone(use):
    ours = use(Clock(1))
    # The counter shows 10 J for each call: two warm-up calls must not be in it.
    repeats = clock.repeat(
        [ours.call], CPU, warmup=2, at_least=4, for_seconds=1, meter=lambda: 1000.0 + 10.0 * ours.calls
    )
    assert repeats.joules == 10


class FakeNvml:
    """NVML for one GPU, whose counter is at 2,500 mJ."""

    class NVMLError(Exception):
        pass

    def __init__(self, supported: bool = True) -> None:
        self.supported = supported

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        assert uuid == "GPU-1234"
        return "handle"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        assert handle == "handle"
        if not self.supported:
            raise self.NVMLError
        return 2500


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1234"))
    return monkeypatch


def test_energy_is_read_from_nvmls_counter_in_joules(gpu):
    gpu.setitem(sys.modules, "pynvml", FakeNvml())
    meter = clock.energy_meter(CUDA)
    assert meter is not None
    assert meter() == 2.5


def test_there_is_no_energy_without_a_counter(gpu):
    gpu.setitem(sys.modules, "pynvml", FakeNvml(supported=False))
    assert clock.energy_meter(CUDA) is None
    gpu.setitem(sys.modules, "pynvml", None)  # importing it fails
    assert clock.energy_meter(CUDA) is None
    gpu.setitem(sys.modules, "pynvml", FakeNvml())
    assert clock.energy_meter(CPU) is None


def test_calls_are_made_in_turn_and_each_has_its_seconds_of_each_round(use):
    ours = use(Clock(64, 32, 1, 2, 3, 4))
    found = clock.alternate({"a": ours.call, "b": ours.call}, CPU, warmup=1, rounds=2)
    assert {name: seconds.tolist() for name, seconds in found.items()} == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize(
    ("threads", "operations"),
    [
        (2, 2_147_483_648),  # 2 × 1024³
        (16, 17_179_869_184),  # 2 × 2048³
    ],
)
def test_the_peak_is_the_operations_of_a_product_over_its_time(use, monkeypatch, threads, operations):
    ours = use(Clock(2))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)

    class Matrix:
        def __matmul__(self, other: "Matrix") -> None:
            ours.call()

    monkeypatch.setattr(torch, "randn", lambda *shape, **kind: Matrix())
    assert clock.peak_meter(CPU, "fp32")() == operations / 2  # seconds
