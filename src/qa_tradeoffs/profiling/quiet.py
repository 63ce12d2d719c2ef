"""Whether the machine was busy with something else while a pass was timed.

Steal and foreign time are taken from the system's counters of processor time, whose ticks are a hundredth of a second;
what these do not show, a slower clock or neighbours that share a cache, shows in the rate of a fixed matrix product.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil  # type: ignore[import-untyped]
import pynvml  # type: ignore[import-untyped]
import torch

from qa_tradeoffs.metrics.passes import Surroundings
from qa_tradeoffs.profiling.clock import nvml_handle, peak_meter

# A core that is taken for a share of the time holds up the other cores that share a product with it. At this share a
# pass can take a tenth longer on two cores; the system's own processes take one or two in a hundred.
MOST_TAKEN = 0.05
_MOST_TICKS = 0.06  # processor seconds: in a short pass a share of less is the counters' own error
# The product of a quiet machine varies by some per cent from one time to the next.
LEAST_RATE = 0.8
_PRODUCTS = 3  # of which the fastest counts: an interrupt in between slows one
_THROTTLED = 0x8 | 0x20 | 0x40 | 0x80  # NVML's hardware slowdown, software and hardware heat, hardware power brake


class Watch:
    """Readings of the machine before and after each pass; the product is in ``precision``, on the ``device`` timed."""

    def __init__(self, device: torch.device, precision: str) -> None:
        self._process = psutil.Process()
        self._product = peak_meter(device, precision)
        self._gpu = _gpu(device)
        self._rate = self._measured_rate()
        self.begin()

    def begin(self) -> None:
        """A pass begins now."""
        self._before = _reading(self._process)

    def end(self) -> Surroundings:
        """What else happened since the pass began."""
        before, now = self._before, _reading(self._process)
        capacity = max(now.wall - before.wall, 1e-9) * now.cores
        steal, busy, own = (getattr(now, name) - getattr(before, name) for name in ("steal", "busy", "own"))
        gpu = self._gpu() if self._gpu else Gpu()
        earlier, self._rate = self._rate, self._measured_rate()
        return Surroundings(
            steal=_share(steal, capacity), foreign=_share(busy - own, capacity), rate=min(earlier, self._rate),
            others=gpu.others, clock=gpu.clock, throttled=gpu.throttled,
        )  # fmt: skip

    def _measured_rate(self) -> float:
        return max(self._product() for _ in range(_PRODUCTS))


def contended(found: Surroundings, best_rate: float) -> tuple[str, ...]:
    """Why a pass with these surroundings is contended; ``best_rate`` is that of the run's fastest product."""
    reasons = {
        "other programs": found.foreign > MOST_TAKEN,
        "other virtual machines": found.steal > MOST_TAKEN,
        "a slower processor": found.rate < LEAST_RATE * best_rate,
        "another process on the GPU": bool(found.others),
        "a throttled GPU": bool(found.throttled),
    }
    return tuple(reason for reason, holds in reasons.items() if holds)


@dataclass(frozen=True)
class Gpu:
    """What NVML says of a GPU; None for what it does not say."""

    others: int | None = None
    clock: float | None = None
    throttled: bool | None = None


@dataclass(frozen=True)
class _Reading:
    """Seconds: of the clock, and of the ``cores`` that this process may use, ``busy``, stolen, and its ``own``."""

    wall: float
    cores: int
    busy: float
    steal: float
    own: float


def _reading(process: Any) -> _Reading:
    cores = _cores(psutil.cpu_times(percpu=True))
    busy = sum(core.user + core.system + sum(getattr(core, name, 0.0) for name in _ALSO_BUSY) for core in cores)
    steal = sum(getattr(core, "steal", 0.0) for core in cores)
    return _Reading(time.perf_counter(), len(cores), busy, steal, _own(process))


_ALSO_BUSY = ("nice", "irq", "softirq")  # which not every system has


def _cores(times: Sequence[Any]) -> list[Any]:
    """Those that this process may run on."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(times))
    return [core for number, core in enumerate(times) if number in allowed]


def _own(process: Any) -> float:
    """Processor seconds of this process and of its children, those that have ended included."""
    mine = process.cpu_times()
    total = mine.user + mine.system + mine.children_user + mine.children_system
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            its = child.cpu_times()
            total += its.user + its.system
    return float(total)


def _share(seconds: float, capacity: float) -> float:
    """What part of the capacity was taken, in [0, 1]; nothing where it is less than the counters can tell."""
    return min(1.0, seconds / capacity) if seconds > _MOST_TICKS else 0.0


def _gpu(device: torch.device) -> Callable[[], Gpu] | None:
    """A function that asks NVML; None where there is no GPU or no NVML."""
    handle = nvml_handle(device)
    if handle is None:
        return None

    def ask() -> Gpu:
        # One of the processes is this one; its number here can be another than the driver's.
        others = _or_none(lambda: max(0, len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle)) - 1))
        clock = _or_none(lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM))
        reasons = _or_none(lambda: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        return Gpu(others, clock or None, None if reasons is None else bool(int(reasons) & _THROTTLED))

    return ask


def _or_none(ask: Callable[[], float]) -> int | None:
    """What NVML answers, None where this GPU does not say."""
    try:
        return int(ask())
    except pynvml.NVMLError:
        return None
