"""The machine at hand: which device runs, and how it is named in results."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import precisions


def choose(requested: str) -> torch.device:
    """'cpu', 'cuda' or 'auto' (CUDA where there is one). Raises StudyError."""
    if requested not in ("cpu", "cuda", "auto"):
        raise StudyError(f"DEVICE: '{requested}' is no device; choose cpu, cuda or auto")
    if requested == "cuda" and not torch.cuda.is_available():
        raise StudyError("DEVICE: cuda was asked for, but torch sees no CUDA device here; choose cpu or auto")
    cuda = requested == "cuda" or (requested == "auto" and torch.cuda.is_available())
    return torch.device("cuda", 0) if cuda else torch.device("cpu")


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was told: both sides of a clock need it on CUDA."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe(device: torch.device) -> dict[str, Any]:
    """Name of the device, its CUDA version or instruction sets, and its threads, for the provenance of results."""
    if device.type == "cuda":
        name, software = torch.cuda.get_device_name(device), f"CUDA {torch.version.cuda}"
    else:
        name, software = _processor(), " ".join(precisions.instruction_sets())
    return {"type": device.type, "name": name, "software": software, "threads": torch.get_num_threads()}


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; torch has no type of its own for it on a CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def enough_memory(otherwise: str) -> Iterator[None]:
    """Memory that runs out inside the block is a StudyError with the sentence ``otherwise``."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise StudyError(otherwise) from None


def use_all_cores() -> None:
    """One thread per core that this process may run on, unless OMP_NUM_THREADS, which torch obeys, says another."""
    if "OMP_NUM_THREADS" not in os.environ and hasattr(os, "sched_getaffinity"):  # macOS has no such thing
        torch.set_num_threads(len(os.sched_getaffinity(0)))


def _processor() -> str:
    """The processor's own name; Linux tells it in /proc only."""
    file = Path("/proc/cpuinfo")
    name = re.search(r"^model name\s*:\s*(.*\S)", file.read_text(), re.MULTILINE) if file.exists() else None
    return name[1] if name else platform.processor() or platform.machine()
