"""Calls repeated under a clock: warm-up apart, device synchronised, every value kept; and the machine's own peak."""

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
# Few threads multiply matrices of this side no slower than larger ones, in an eighth of the time; more of them would
# spend it waiting for each other.
_FEW_THREADS, _SIDE_FOR_FEW_THREADS = 4, 1024


@dataclass(frozen=True)
class Repeats:
    """``seconds``: (n_repeats, n_phases) float64; ``joules``: mean energy of a repeat, None where nothing meters it."""

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
    """Seconds of each phase of at least ``at_least`` repeats that together last ``for_seconds``, after ``warmup``.

    A repeat calls all phases in order; the device is done with one before the next begins. ``meter`` reads joules.
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
    """Seconds of each call in each round, (rounds,) float64: what is compared is called in turn, A B A B.

    A machine's speed drifts within seconds. In turn, all calls get their share of its slow times, and the ratio of two
    calls of one round holds little of them.
    """
    seconds = repeat([*calls.values()], device, warmup=warmup, at_least=rounds).seconds
    return dict(zip(calls, seconds.T, strict=True))


def energy_meter(device: torch.device) -> Callable[[], float] | None:
    """A function that reads the joules a GPU has used so far from NVML's counter; None where there is no counter."""
    if (handle := nvml_handle(device)) is None:
        return None
    try:
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:  # GPUs before Volta, and parts of a shared one, have no counter
        return None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000  # it counts millijoules


def nvml_handle(device: torch.device) -> Any | None:
    """How NVML calls a GPU; None for another device, and where there is no NVML."""
    if device.type != "cuda":
        return None
    try:
        pynvml.nvmlInit()
        # By its id: NVML does not know the numbering that CUDA_VISIBLE_DEVICES makes.
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    except pynvml.NVMLError:
        return None


def peak_meter(device: torch.device, precision: str) -> Callable[[], float]:
    """A function that measures the FLOP/s of a product of two large square matrices; the best of several is the peak.

    The matrix is drawn once: that takes as long as to multiply it.
    """
    n = 8192 if device.type == "cuda" else _SIDE_FOR_FEW_THREADS if torch.get_num_threads() <= _FEW_THREADS else 2048
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    # Random values: a GPU multiplies matrices of ones at a higher clock than any real ones.
    matrix = torch.randn(n, n, dtype=kind, device=device)

    def measure() -> float:
        with torch.inference_mode():
            began = now(device)
            matrix @ matrix
            return 2.0 * n**3 / (now(device) - began)

    return measure


def now(device: torch.device) -> float:
    """The clock's seconds once the device has finished all work it was given."""
    synchronize(device)
    return time.perf_counter()


def _timed(call: Call, device: torch.device) -> float:
    began = time.perf_counter()
    call()
    return now(device) - began
