"""Locks that end with their holder, and child processes that end with their parent."""

import contextlib
import ctypes
import datetime
import errno
import math
import os
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import make_folder

_SECONDS_TO_END = 10.0  # an interrupted command first stops its notebook's kernel
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextmanager
def locked(path: Path, what: str, *, patience: float = _SECONDS_TO_END, advice: str = "") -> Iterator[None]:
    """Hold the lock ``path`` inside the block; the operating system releases it however this process ends.

    Children do not inherit it. If ``what`` is still locked after ``patience`` seconds, raises a StudyError that names
    the holder and ends in ``advice``. With infinite patience it prints that it waits. On a file system without locks,
    nothing is locked.
    """
    make_folder(path.parent)
    lock = FileLock(path, timeout=0 if patience == math.inf else patience)
    try:
        lock.acquire(poll_interval=0.1)
    except Timeout:
        holder = _holder(path)
        if patience < math.inf:
            raise StudyError(f"{what}: is in use by {holder}; wait until it ends, or stop it{advice}") from None
        print(f"{what}: waiting for {holder}", file=sys.stderr)
        lock.acquire(timeout=-1, poll_interval=0.1)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        with contextlib.suppress(OSError):  # on a full disk the lock holds, but does not name its holder
            path.write_text(_this_process())
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    """The process that holds a lock, as it described itself."""
    return path.read_text(errors="replace") or "another process"


def others(path: Path) -> list[str]:
    """The holders of the other locks in the lock's folder."""
    return [_holder(lock) for lock in sorted(path.parent.glob(".*.lock")) if lock != path and _is_held(lock)]


def _is_held(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def end_with_parent(ending: signal.Signals) -> None:
    """Have the kernel send this process the signal ``ending`` when its parent ends, for whatever reason."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, ending)
    if os.getppid() != parent:  # it ended before the call above
        os.kill(os.getpid(), ending)


def _this_process() -> str:
    since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    command = shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]])
    return f"'{command}' (process {os.getpid()} on {socket.gethostname()}, since {since})"
