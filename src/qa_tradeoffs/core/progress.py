"""Progress of long work inside a notebook, shown to the person who waits for it.

A notebook's own output is no place for progress bars: they flood it. So the work reports into a small file, and
the command that runs the notebook draws the bar on its terminal (``shown_on_terminal``), if it has one.
"""

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

VARIABLE = "QA_TRADEOFFS_PROGRESS"
LINES = "QA_TRADEOFFS_LINES"  # set if the user waits at a terminal that is not this process's
_SECONDS_BETWEEN_REPORTS = 0.2
_SECONDS_BETWEEN_DRAWINGS = 0.5
_SECONDS_BETWEEN_LINES = 60.0
# training step 240/900, 01:22 left, 05:10 for all |██▋       |
_FORMAT, _FOR_ALL = "{{desc}} {{n_fmt}}/{{total_fmt}}, {{remaining}} left{for_all} |{{bar}}|", ", {} for all"


class Progress:
    """Counts ``done`` of ``total`` steps of ``label`` and reports it, at most five times a second."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total = label, total
        self._file = os.environ.get(VARIABLE)
        self._began = time.monotonic()
        self._reported = 0.0

    def update(self, done: int, total: int | None = None) -> None:
        """Report how many steps are done by now; ``total`` if it has changed."""
        self._total = total or self._total
        now = time.monotonic()
        if self._file is None or (now - self._reported < _SECONDS_BETWEEN_REPORTS and done < self._total):
            return
        self._reported = now
        state = {"label": self._label, "done": done, "total": self._total, "seconds": now - self._began}
        temporary = Path(f"{self._file}.new")
        with suppress(OSError, ValueError):  # neither a full disk nor a wrong path may end the work
            temporary.write_text(json.dumps(state))
            temporary.replace(self._file)


def counter(label: str) -> Callable[[int, int], None]:
    """A function to call with the number of steps done and their total."""
    return Progress(label, 0).update


@contextmanager
def shown_on_terminal(title: str, file: Path, later: float = math.nan) -> Iterator[None]:
    """While the block runs, show on the terminal what is reported into ``file``, with the time since it began.

    ``later``: expected seconds of the work after the block; NaN if unknown. Without a terminal on stderr, a line is
    printed every minute if the variable ``LINES`` is set, otherwise nothing.
    """
    if not sys.stderr.isatty() and not os.environ.get(LINES):
        yield
        return
    finished = threading.Event()
    display = threading.Thread(target=_show, args=(title, file, finished, later), daemon=True)
    display.start()
    try:
        yield
    finally:
        finished.set()
        display.join()


def _show(title: str, file: Path, finished: threading.Event, later: float = math.nan) -> None:
    """Redraw one line of the terminal, or print lines if there is none, until ``finished``."""
    began, terminal, columns, wait = time.monotonic(), sys.stderr.isatty(), None, 0.0
    draw = tqdm.status_printer(sys.stderr) if terminal else lambda text: print(text, file=sys.stderr, flush=True)
    while not finished.wait(wait):
        if terminal:
            columns = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
        heading = f"{title}  {tqdm.format_interval(time.monotonic() - began)}  "
        try:
            state = json.loads(file.read_text())
            counts = done, total, seconds = state["done"], state["total"], state["seconds"]
            left = later + (total - done) * seconds / done if done else math.nan
            for_all = "" if math.isnan(left) else _FOR_ALL.format(tqdm.format_interval(left))
            shape = _FORMAT.format(for_all=for_all)
            draw(tqdm.format_meter(*counts, columns, prefix=heading + state["label"], bar_format=shape))
        except (OSError, ValueError):  # nothing is reported yet
            draw(f"{heading}starting"[:columns])
        wait = _SECONDS_BETWEEN_DRAWINGS if terminal else _SECONDS_BETWEEN_LINES
    if terminal:
        draw("")
        print("\r", end="", file=sys.stderr, flush=True)
