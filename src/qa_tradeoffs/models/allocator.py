"""The C library's memory: kept for the next tensor, or given back to the system.

glibc takes every block above 32 MB from the system and gives it back when it is freed; a heap's free end goes back as
well. A training step of a base-size network takes and frees most of its tensors so, and the system clears their pages
anew each time. What is kept is used again at once. See mallopt(3) of the Linux manual.
"""

import ctypes

# Parameters of mallopt, from malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
# All in one heap, for one of a thread holds 64 MB at most, and it never shrinks (-1).
_KEPT = {_ARENA_MAX: 1, _MMAP_MAX: 0, _TRIM_THRESHOLD: -1}


def keep_freed_memory() -> bool:
    """Keep freed memory in this process from now on; False where the C library cannot (all but glibc)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and {mallopt(parameter, value) for parameter, value in _KEPT.items()} == {1}


def give_back() -> None:
    """Give back now what is free, so that resident memory is memory in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
