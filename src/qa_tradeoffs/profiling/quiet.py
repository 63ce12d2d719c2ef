"""Whether the machine was busy with something else while a pass was timed.

Steal and foreign time come from the system's counters of CPU time, with ticks of a hundredth of a second. The rate of a
fixed matrix product shows what these miss, such as a slower clock or neighbours that share a cache.
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

# A core that is lost for part of the time also delays the cores that work on the same product. At this share a pass can
# take 10 % longer on two cores; the system's own processes take 1 to 2 %.
MOST_TAKEN = 0.05
_MOST_TICKS = 0.06  # CPU seconds; less is within the counters' error in a short pass
# On a quiet machine the product's rate varies by a few per cent.
LEAST_RATE = 0.8
_PRODUCTS = 3  # the fastest counts, since an interrupt can slow one
_THROTTLED = 0x8 | 0x20 | 0x40 | 0x80  # NVML's hardware slowdown, software and hardware heat, hardware power brake


class Watch:
    """Readings of the machine before and after each pass; the product is in ``precision``, on the timed ``device``."""

    def __init__(self, device: torch.device, precision: str) -> None:
        self._process = psutil.Process()
        self._product = peak_meter(device, precision)
        self._gpu = _gpu(device)
        self._rate = self._measured_rate()
        self.begin()

    def begin(self) -> None:
        """Mark the start of a pass."""
        self._before = _reading(self._process)

    def end(self) -> Surroundings:
        """What else the machine did since the pass began."""
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
    """Why a pass with these surroundings is contended; ``best_rate`` is the rate of the run's fastest product."""
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
    """What NVML reports of a GPU; None for what it does not report."""

    others: int | None = None
    clock: float | None = None
    throttled: bool | None = None


@dataclass(frozen=True)
class _Reading:
    """Seconds: ``wall``; ``busy`` and ``steal`` of the ``cores`` that this process may use; ``own``, of the process."""

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


_ALSO_BUSY = ("nice", "irq", "softirq")  # not on every system


def _cores(times: Sequence[Any]) -> list[Any]:
    """The cores that this process may use."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(times))
    return [core for number, core in enumerate(times) if number in allowed]


def _own(process: Any) -> float:
    """CPU seconds of this process and its children, including those that have ended."""
    mine = process.cpu_times()
    total = mine.user + mine.system + mine.children_user + mine.children_system
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            its = child.cpu_times()
            total += its.user + its.system
    return float(total)


def _share(seconds: float, capacity: float) -> float:
    """The share of the capacity that was taken, in [0, 1]; 0 if it is below the counters' resolution."""
    return min(1.0, seconds / capacity) if seconds > _MOST_TICKS else 0.0


def _gpu(device: torch.device) -> Callable[[], Gpu] | None:
    """A function that queries NVML; None without a GPU or NVML."""
    handle = nvml_handle(device)
    if handle is None:
        return None

    def ask() -> Gpu:
        # One of the processes is this one; the driver may list it under another id.
        others = _or_none(lambda: max(0, len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle)) - 1))
        clock = _or_none(lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM))
        reasons = _or_none(lambda: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        return Gpu(others, clock or None, None if reasons is None else bool(int(reasons) & _THROTTLED))

    return ask


def _or_none(ask: Callable[[], float]) -> int | None:
    """NVML's answer; None if this GPU does not provide it."""
    try:
        return int(ask())
    except pynvml.NVMLError:
        return None
