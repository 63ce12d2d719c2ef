"""Progress of long work inside a notebook, told to the person who waits for it.

A notebook's own output is no place for progress bars: they flood it. So the work reports into a small file, and
the command that runs the notebook headless shows it on its terminal (``shown_on_terminal``), if it has one.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VARIABLE = "QA_TRADEOFFS_PROGRESS"
LINES = "QA_TRADEOFFS_LINES"  # set where somebody waits at a terminal that is not this process's own
_SECONDS_BETWEEN_LINES = 60.0
_SECONDS_BETWEEN_REPORTS = 0.2


class Progress:
    """Counts ``done`` of ``total`` steps of ``label`` and reports it, at most five times a second."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total = label, total
        self._file = os.environ.get(VARIABLE)
        self._began = time.monotonic()
        self._reported = 0.0

    def update(self, done: int, total: int | None = None) -> None:
        """Say how many steps are done by now; ``total`` where it has grown."""
        self._total = total or self._total
        now = time.monotonic()
        if self._file is None or (now - self._reported < _SECONDS_BETWEEN_REPORTS and done < self._total):
            return
        self._reported = now
        state = {"label": self._label, "done": done, "total": self._total, "seconds": now - self._began}
        temporary = Path(f"{self._file}.new")
        with suppress(OSError, ValueError):  # a full disk, or a variable that leads nowhere, must not end the work
            temporary.write_text(json.dumps(state))
            temporary.replace(self._file)


def counter(label: str) -> Callable[[int, int], None]:
    """A function that is told how many of how many steps are done."""
    progress: list[Progress] = []

    def tell(done: int, total: int) -> None:
        if not progress:
            progress.append(Progress(label, total))
        progress[0].update(done, total)

    return tell


def line(state: dict[str, float | str]) -> str:
    """'training 240/900, 1:12 left' from a reported state."""
    done, total, seconds = float(state["done"]), float(state["total"]), float(state["seconds"])
    left = f", {_clock(seconds / done * (total - done))} left" if 0 < done < total else ""
    return f"{state['label']} {done:.0f}/{total:.0f}{left}"


@contextmanager
def shown_on_terminal(title: str, file: Path) -> Iterator[None]:
    """While the block runs, show on the terminal what is reported into ``file``, with the time gone by.

    Without a terminal on stderr, nothing is printed; but where the variable ``LINES`` is set, a whole line a minute.
    """
    terminal = sys.stderr.isatty()
    if not terminal and not os.environ.get(LINES):
        yield
        return
    finished = threading.Event()
    shower = threading.Thread(target=_show if terminal else _print, args=(title, file, finished), daemon=True)
    shower.start()
    try:
        yield
    finally:
        finished.set()
        shower.join()
        if terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _show(title: str, file: Path, finished: threading.Event) -> None:
    """Redraw one line twice a second until ``finished``."""
    began = time.monotonic()
    while not finished.wait(0.5):
        text = _status(title, began, file)
        width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        print(f"\r\x1b[K{text[: width - 1]}", end="", file=sys.stderr, flush=True)


def _print(title: str, file: Path, finished: threading.Event) -> None:
    """Print a line now and then every minute until ``finished``."""
    began, wait = time.monotonic(), 0.0
    while not finished.wait(wait):
        print(_status(title, began, file), file=sys.stderr, flush=True)
        wait = _SECONDS_BETWEEN_LINES


def _status(title: str, began: float, file: Path) -> str:
    """'1-train bert 0  1:05  training step 240/900, 2:58 left'."""
    try:
        state = line(json.loads(file.read_text()))
    except (OSError, ValueError):
        state = "starting"
    return f"{title}  {_clock(time.monotonic() - began)}  {state}"


def _clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
