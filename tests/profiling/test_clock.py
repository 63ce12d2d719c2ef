"""Timing with a fake clock that only calls advance."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from qa_tradeoffs.profiling import clock
from tests.profiling.conftest import CPU, CUDA


class Clock:
    """A clock that only calls advance: the k-th call takes ``durations[k]`` seconds, later ones the last of them."""

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


@pytest.mark.parametrize(
    ("durations", "phases", "settings", "expected"),
    [
        ((64, 32, 1, 2, 4), 1, {"warmup": 2, "at_least": 3, "for_seconds": 0.5}, [[1], [2], [4]]),  # warm-up apart
        ((8,), 1, {"warmup": 1, "at_least": 4, "for_seconds": 1}, [[8]] * 4),  # until there are enough
        ((0.25,), 1, {"warmup": 1, "at_least": 3, "for_seconds": 2}, [[0.25]] * 8),  # until they lasted long enough
        # Each phase has its own seconds, and all count towards the time.
        ((16, 16, 1, 2, 3, 4), 2, {"warmup": 1, "at_least": 1, "for_seconds": 10}, [[1, 2], [3, 4]]),
    ],
)
def test_calls_are_repeated_after_the_warm_up(durations, phases, settings, expected, use):
    ours = use(Clock(*durations))
    repeats = clock.repeat([ours.call] * phases, CPU, **settings)
    assert repeats.seconds.tolist() == expected
    assert repeats.joules is None
    assert ours.calls == phases * (settings["warmup"] + len(expected))


def test_calls_are_made_in_turn_and_each_has_its_seconds_of_each_round(use):
    ours = use(Clock(64, 32, 1, 2, 3, 4))
    found = clock.alternate({"a": ours.call, "b": ours.call}, CPU, warmup=1, rounds=2)
    assert {name: seconds.tolist() for name, seconds in found.items()} == {"a": [1, 3], "b": [2, 4]}


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
    repeats = clock.repeat([ours.call], CPU, warmup=2, at_least=4, meter=lambda: 1000.0 + 10.0 * ours.calls)
    assert repeats.joules == 10


class FakeNvml:
    """NVML for one GPU, whose counter is at 2,500 mJ."""

    class NVMLError(Exception):
        pass

    def __init__(self, supported: bool) -> None:
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


@pytest.mark.parametrize(
    ("device", "supported", "joules"),
    [(CUDA, True, 2.5), (CUDA, False, None), (CPU, True, None)],  # no counter in old GPUs; none is asked on a CPU
)
def test_energy_is_read_from_nvmls_counter_in_joules(device, supported, joules, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1234"))
    monkeypatch.setattr(clock, "pynvml", FakeNvml(supported))
    meter = clock.energy_meter(device)
    assert (meter and meter()) == joules


@pytest.mark.parametrize(("threads", "side"), [(2, 1024), (16, 2048)])
def test_the_peak_is_the_operations_of_a_product_over_its_time(use, monkeypatch, threads, side):
    ours = use(Clock(2))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)

    class Matrix:
        def __matmul__(self, other: "Matrix") -> None:
            ours.call()

    monkeypatch.setattr(torch, "randn", lambda *shape, **kind: Matrix())
    assert clock.peak_meter(CPU, "fp32")() == 2 * side**3 / 2  # operations over seconds
