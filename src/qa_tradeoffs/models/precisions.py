"""Precisions: what this machine multiplies natively, and what `precision: auto` resolves to."""

import time
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import inputs

# Short names, and torch's names of the instructions on x86 and Arm.
_INSTRUCTIONS = {
    "avx2": ("avx2",),
    "avx512": ("avx512_f",),
    "vnni": ("avx512_vnni", "avx_vnni"),
    "bf16": ("avx512_bf16", "bf16"),
    "amx": ("amx_bf16", "amx_int8"),
    "neon": ("neon",),
    "sve": ("sve",),
}
_SIDE, _SECONDS = 512, 0.25
# Measured: native bf16 products take about half the time of fp32's, emulated ones several times as long.
_FASTER_BY = 1.1
_TOKENS = 16  # of the row on which a network is tried
_in_bf16: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()  # results by network
SLOWER = "slower than fp32 here, since the device only emulates it"


def chosen(requested: str, device: torch.device, network: Any = None) -> str:
    """'fp32', 'bf16' or 'fp16' as requested; 'auto' is bf16 if the device multiplies it natively, else fp32.

    With a ``network``, 'auto' is bf16 only if that network can compute in it. Raises StudyError for fp16 on a CPU,
    where products are no faster and gradients would need scaling.
    """
    if requested == "fp16" and device.type == "cpu":
        raise StudyError("training.precision: fp16 is for GPUs, but this runs on a CPU; give bf16, fp32 or auto")
    if requested != "auto":
        return requested
    return "bf16" if native_bf16(device.type) and (network is None or computes_in_bf16(network)) else "fp32"


def computes_in_bf16(network: Any) -> bool:
    """Whether the network's code runs in mixed precision; some, such as DeBERTa's, fails on mixed products."""
    if network not in _in_bf16:
        _in_bf16[network] = _runs(network)
    return _in_bf16[network]


def in_words(requested: str, device: torch.device) -> str:
    """The precision and why it was chosen, with a warning if it is slower than fp32 here."""
    found = chosen(requested, device)
    if requested == "auto":
        why = "has native bf16; fp32 where a network cannot compute in it" if found == "bf16" else "lacks native bf16"
        return f"{found} (chosen: the device {why})"
    return f"{found} (as the study says{'; ' + SLOWER if emulated(requested, device) else ''})"


def emulated(requested: str, device: torch.device) -> bool:
    """Whether bf16 was requested on a device without instructions for it."""
    return requested == "bf16" and not native_bf16(device.type)


@cache
def native_bf16(device_type: str) -> bool:
    """Whether the device has instructions for bf16 products and, on a CPU, they are measured to be faster than fp32's.

    CPU flags do not say whether the matrix library uses these instructions; timing products for 0.25 s does.
    """
    if device_type == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    return bool({"bf16", "amx"} & {*instruction_sets()}) and bf16_speedup() >= _FASTER_BY


def instruction_sets() -> tuple[str, ...]:
    """The processor's instruction sets that decide the speed of number formats, in a fixed order."""
    has = torch.cpu.get_capabilities()
    return tuple(name for name, flags in _INSTRUCTIONS.items() if any(has.get(flag) for flag in flags))


def bf16_speedup() -> float:
    """Time of a square matrix product in fp32 over its time in bf16: the minimum of each, measured in turn."""
    matrices = [torch.ones(_SIDE, _SIDE, dtype=kind) for kind in (torch.float32, torch.bfloat16)]
    fp32: list[float] = []
    bf16: list[float] = []
    ends = time.perf_counter() + _SECONDS
    while len(fp32) < 3 or time.perf_counter() < ends:
        for found, matrix in zip((fp32, bf16), matrices, strict=True):
            found.append(_seconds(matrix))
    return min(fp32) / min(bf16)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision for bf16 and fp16: weights and sums stay fp32."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=precision in ("bf16", "fp16"))


def _runs(network: Any) -> bool:
    reads, before = inputs.of(network), network.training
    row = torch.ones(1, reads.padded(_TOKENS), dtype=torch.long, device=network.device)
    network.eval()  # dropout would advance training's random generator
    try:
        with torch.inference_mode(), autocast(network.device, "bf16"):
            network(**reads.full(row))
    except (RuntimeError, ValueError):  # raised by torch for mixed formats
        return False
    finally:
        network.train(before)
    return True


def _seconds(matrix: torch.Tensor) -> float:
    began = time.perf_counter()
    with torch.inference_mode():
        matrix @ matrix
    return time.perf_counter() - began
