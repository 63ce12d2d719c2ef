"""The device that runs, its name in results, and its memory and threads."""

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
    """'cpu', 'cuda' or 'auto' (CUDA if available). Raises StudyError."""
    if requested not in ("cpu", "cuda", "auto"):
        raise StudyError(f"DEVICE: '{requested}' is not a device; choose cpu, cuda or auto")
    if requested == "cuda" and not torch.cuda.is_available():
        raise StudyError("DEVICE: cuda was requested, but torch sees no CUDA device here; choose cpu or auto")
    cuda = requested == "cuda" or (requested == "auto" and torch.cuda.is_available())
    return torch.device("cuda", 0) if cuda else torch.device("cpu")


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its queue; needed before reading a clock on CUDA."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe(device: torch.device) -> dict[str, Any]:
    """The device's name, CUDA version or instruction sets, and threads, for the provenance of results."""
    if device.type == "cuda":
        name, software = torch.cuda.get_device_name(device), f"CUDA {torch.version.cuda}"
    else:
        name, software = _processor(), " ".join(precisions.instruction_sets())
    return {"type": device.type, "name": name, "software": software, "threads": torch.get_num_threads()}


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; on a CPU, torch has no exception type for it."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def enough_memory(otherwise: str) -> Iterator[None]:
    """Turn running out of memory inside the block into a StudyError with the message ``otherwise``."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise StudyError(otherwise) from None


def use_all_cores() -> None:
    """Use one thread per core available to this process, unless OMP_NUM_THREADS says otherwise."""
    if "OMP_NUM_THREADS" not in os.environ and hasattr(os, "sched_getaffinity"):  # macOS lacks it
        torch.set_num_threads(len(os.sched_getaffinity(0)))


def _processor() -> str:
    """The processor's name; on Linux only /proc has it."""
    file = Path("/proc/cpuinfo")
    name = re.search(r"^model name\s*:\s*(.*\S)", file.read_text(), re.MULTILINE) if file.exists() else None
    return name[1] if name else platform.processor() or platform.machine()
