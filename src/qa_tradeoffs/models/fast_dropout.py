"""Dropout masks drawn faster on a CPU.

torch draws them value by value on one core, which can take more than a quarter of a training step. Inside
``fast_masks`` 16 random bits decide each value: numpy's SFC64 makes 64 at a time, and the comparison is vectorised.
It applies to every model, because all of torch's dropouts, including fused attention's, draw with ``bernoulli_``.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

_STEPS = 2**16  # probabilities are rounded to multiples of 1 / 65,536, by at most 8e-6


@contextmanager
def fast_masks(enabled: bool = True) -> Iterator[None]:
    """Within the block, torch draws fixed-probability masks on the CPU from SFC64; other devices are unaffected.

    The masks differ from torch's for the same seed, but also depend on torch's seed and generator state alone.
    """
    if not enabled:
        yield
        return
    with overridden("bernoulli_.float", draw, "CPU"):
        yield


@contextmanager
def overridden(operator: str, implementation: Callable[..., Any], *keys: str) -> Iterator[None]:
    """Within the block, torch's ``operator`` is computed by ``implementation`` under these dispatch keys."""
    library: Any = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # overriding torch's implementation is the purpose
        for key in keys:
            library.impl(operator, implementation, key)
    try:
        yield
    finally:
        library._destroy()  # the only way to unregister an implementation


def draw(mask: Tensor, p: float = 0.5, *, generator: torch.Generator | None = None) -> Tensor:
    """Set each value of ``mask`` in place to 1 with probability ``p``, else to 0; returns ``mask``."""
    return mask.copy_(drawn(mask.shape, p, generator))


def drawn(shape: Sequence[int], p: float, generator: torch.Generator | None = None) -> Tensor:
    """Values that are True with probability ``p``, bool of this shape."""
    # Signed, because torch compares signed 16-bit numbers only.
    threshold = round(p * _STEPS) - _STEPS // 2
    if not -(_STEPS // 2) < threshold < _STEPS // 2:
        return torch.full(shape, bool(round(p)))
    seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
    n = math.prod(shape)
    bits = np.random.SFC64(seed).random_raw(-(-n // 4)).view(np.int16)[:n]
    return (torch.from_numpy(bits) < threshold).view(tuple(shape))
