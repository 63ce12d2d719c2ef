"""Timing repeated calls: after a warm-up, with the device synchronised, keeping every value; and the machine's peak."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pynvml  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

from qa_tradeoffs.models.devices import synchronize

Call = Callable[[], object]
# With few threads, matrices of this size reach the rate of larger ones in an eighth of the time; more threads would
# mostly wait for each other.
_FEW_THREADS, _SIDE_FOR_FEW_THREADS = 4, 1024


@dataclass(frozen=True)
class Repeats:
    """``seconds``: (n_repeats, n_phases) float64; ``joules``: mean energy of a repeat, None without a meter."""

    seconds: NDArray[np.float64]
    joules: float | None = None


def repeat(
    phases: Sequence[Call],
    device: torch.device,
    *,
    warmup: int,
    at_least: int,
    for_seconds: float = 0.0,
    meter: Callable[[], float] | None = None,
) -> Repeats:
    """Seconds of each phase over at least ``at_least`` repeats and ``for_seconds``, after ``warmup`` calls.

    A repeat calls all phases in order and synchronises the device after each. ``meter`` reads joules.
    """
    for _ in range(warmup):
        for phase in phases:
            phase()
    synchronize(device)
    rows: list[list[float]] = []
    total = 0.0
    before = meter() if meter else 0.0
    while len(rows) < at_least or total < for_seconds:
        rows.append([_timed(phase, device) for phase in phases])
        total += sum(rows[-1])
    joules = (meter() - before) / len(rows) if meter else None
    return Repeats(np.array(rows), joules)


def alternate(
    calls: Mapping[str, Call], device: torch.device, *, warmup: int, rounds: int
) -> dict[str, NDArray[np.float64]]:
    """Seconds of each call in each round, (rounds,) float64; calls are interleaved, A B A B.

    A machine's speed drifts within seconds. Interleaving spreads slow moments over all calls, and they largely cancel
    in the ratio of two calls of one round.
    """
    seconds = repeat([*calls.values()], device, warmup=warmup, at_least=rounds).seconds
    return dict(zip(calls, seconds.T, strict=True))


def energy_meter(device: torch.device) -> Callable[[], float] | None:
    """A function that reads the joules a GPU has used so far from NVML's counter; None without a counter."""
    if (handle := nvml_handle(device)) is None:
        return None
    try:
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:  # GPUs before Volta and partitions of a GPU have no counter
        return None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000  # it counts millijoules


def nvml_handle(device: torch.device) -> Any | None:
    """NVML's handle of a GPU; None for other devices or without NVML."""
    if device.type != "cuda":
        return None
    try:
        pynvml.nvmlInit()
        # By id, since NVML ignores CUDA_VISIBLE_DEVICES.
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    except pynvml.NVMLError:
        return None


def peak_meter(device: torch.device, precision: str) -> Callable[[], float]:
    """A function that measures the FLOP/s of a product of two large square matrices; the peak is the best of several.

    The matrix is drawn once, since drawing takes as long as multiplying.
    """
    n = 8192 if device.type == "cuda" else _SIDE_FOR_FEW_THREADS if torch.get_num_threads() <= _FEW_THREADS else 2048
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    # Random values: with constant matrices a GPU clocks higher than with real ones.
    matrix = torch.randn(n, n, dtype=kind, device=device)

    def measure() -> float:
        with torch.inference_mode():
            began = now(device)
            matrix @ matrix
            return 2.0 * n**3 / (now(device) - began)

    return measure


def now(device: torch.device) -> float:
    """The clock's seconds once the device has finished all queued work."""
    synchronize(device)
    return time.perf_counter()


def _timed(call: Call, device: torch.device) -> float:
    began = time.perf_counter()
    call()
    return now(device) - began
