"""The C library's allocator: whether freed memory is kept for the next tensor or returned to the system.

glibc maps every block above 32 MB separately and unmaps it when it is freed; it also trims the free end of a heap. Most
tensors of a base-size network's training step are allocated and freed this way, and the system clears their pages each
time. Memory that is kept is reused at once. See mallopt(3) of the Linux manual.
"""

import ctypes

# Parameters of mallopt, from malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
# A single heap, since a thread's own holds at most 64 MB; it never shrinks (-1).
_KEPT = {_ARENA_MAX: 1, _MMAP_MAX: 0, _TRIM_THRESHOLD: -1}


def keep_freed_memory() -> bool:
    """Keep freed memory in this process from now on; False if the C library is not glibc, which cannot."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and {mallopt(parameter, value) for parameter, value in _KEPT.items()} == {1}


def give_back() -> None:
    """Return free memory to the system now, so that resident memory is memory in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
