"""Processes that must not get in each other's way: locks that end with their holder, children that end with a parent.

python -m qa_tradeoffs.core.locks runs/.demo.lock PID   (make: hold the lock until the process PID has ended)
"""

import argparse
import contextlib
import ctypes
import datetime
import errno
import fcntl
import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.files import make_folder

# make's lock is free as soon as make has ended; what make had started first ends its notebook's kernel.
_SECONDS_TO_NOTICE, _SECONDS_TO_END = 2.0, 10.0
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


@contextmanager
def locked(path: Path, what: str, *, patience: float = _SECONDS_TO_END) -> Iterator[None]:
    """Hold the lock ``path`` while the block runs; the kernel releases it however this process ends.

    Children do not inherit it. Raises StudyError, naming the holder, where ``what`` is still locked after ``patience``
    seconds. On a file system without locks nothing is locked.
    """
    file = _acquire(path, what, patience)
    try:
        _sign(file, os.getpid())
        yield
    finally:
        os.close(file)


def end_with_parent(ending: signal.Signals) -> None:
    """Have the kernel send this process ``ending`` as soon as its parent has ended, however that came about."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, ending)
    if os.getppid() != parent:  # it ended before the kernel knew
        os.kill(os.getpid(), ending)


def hold_while_running(path: Path, pid: int, what: str, *, patience: float = _SECONDS_TO_NOTICE) -> None:
    """Take the lock, and leave a process behind that holds it until process ``pid`` has ended. Raises StudyError."""
    watched = os.pidfd_open(pid)
    file = _acquire(path, what, patience)
    _sign(file, pid)
    if os.fork():
        return
    os.setsid()  # what interrupts make's terminal is not for this process
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    select.select([watched], [], [])
    os._exit(0)


def others(path: Path) -> list[str]:
    """Who holds the other locks in the lock's folder, a phrase each."""
    return [_holder(lock) for lock in sorted(path.parent.glob(".*.lock")) if lock != path and _is_held(lock)]


def _acquire(path: Path, what: str, patience: float) -> int:
    """The open, locked file."""
    make_folder(path.parent)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    until, told = time.monotonic() + patience, patience < math.inf
    while not _try(file, fcntl.LOCK_EX):
        if time.monotonic() > until:
            os.close(file)
            raise StudyError(f"{what}: is in use by {_holder(path)}; wait until that has ended, or end it")
        if not told:
            told = True
            print(f"{what}: waiting for {_holder(path)}", file=sys.stderr)
        time.sleep(0.1)
    return file


def _try(file: int, kind: int) -> bool:
    """Whether the file is locked now; True, too, where the file system has no locks."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise
    return True


def _is_held(path: Path) -> bool:
    file = os.open(path, os.O_RDONLY)
    try:
        return not _try(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _sign(file: int, pid: int) -> None:
    """Write into the lock who holds it."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    holder = f"'{' '.join(words).strip()}' (process {pid} on {socket.gethostname()}, since {since})"
    with contextlib.suppress(OSError):  # on a full disk the lock holds without it
        os.truncate(file, 0)
        os.pwrite(file, holder.encode(), 0)


def _holder(path: Path) -> str:
    return path.read_text(errors="replace") or "another process"


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module, for make: prints 'locked', or why not."""
    parser = argparse.ArgumentParser(description="Hold a study's lock until a process has ended.")
    parser.add_argument("lock", type=Path)
    parser.add_argument("pid", type=int)
    parser.add_argument("--wait", action="store_true", help="until the lock is free, however long that takes")
    options = parser.parse_args(arguments)
    what = str(options.lock.with_name(options.lock.stem.removeprefix(".")))
    try:
        hold_while_running(options.lock, options.pid, what, patience=math.inf if options.wait else _SECONDS_TO_NOTICE)
    except StudyError as error:
        print(f"{error}, or add WAIT=1")
        return
    print("locked")
    for other in others(options.lock):
        print(f"notice: {other} runs at the same time: each will slow down what the other times", file=sys.stderr)


if __name__ == "__main__":
    exit_cleanly(main)
