"""What make's targets for a study do: hold the study's lock, write the rules of what is stale, and run make on them.

STUDY=demo MODELS="bert distilbert" python -m qa_tradeoffs.runs.make all

The variables of make's command line arrive in the environment, where no shell reads them.
"""

import argparse
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import exit_cleanly
from qa_tradeoffs.core.files import ROOT, write_text
from qa_tradeoffs.core.locks import end_with_parent, locked, others
from qa_tradeoffs.runs import compare, graph, rules
from qa_tradeoffs.runs.paths import RunPaths, relative
from qa_tradeoffs.runs.selection import Selection, selected

_SECONDS_TO_NOTICE = 2.0  # what a make that has just ended still has to end


def run(goals: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run make's ``goals`` for the study that the variables name; make's exit status. Raises StudyError."""
    if list(goals) == ["plan"]:
        return _python("qa_tradeoffs.runs.plan")
    chosen = selected(variables)
    if "n" in variables.get("MAKEFLAGS", "").partition(" ")[0].lstrip("-"):  # make -n only prints its commands
        return _child(chosen, goals)
    with _held(chosen, math.inf if variables.get("WAIT") else _SECONDS_TO_NOTICE):
        chosen.run.claim(ROOT / chosen.study_file)
        if list(goals) == ["reproduce"]:
            return _reproduce(chosen)
        return _make(chosen, goals)


@contextmanager
def _held(chosen: Selection, patience: float) -> Iterator[None]:
    """Hold the study's lock; say which other studies are at work."""
    folder = chosen.run.folder
    lock = folder.with_name(f".{folder.name}.lock")
    with locked(lock, str(relative(folder)), patience=patience, advice=", or add WAIT=1"):
        for other in others(lock):
            print(f"notice: {other} runs at the same time: each will slow down what the other times", file=sys.stderr)
        yield


def _make(chosen: Selection, goals: Sequence[str]) -> int:
    """Print what is repeated and why, and what is still to do; then do it."""
    *measured, _, report = graph.stages(chosen)
    waiting = [stage for stage in measured if stage.stale]
    for stage in waiting:
        if not stage.missing and (changed := stage.changes()):
            print(f"again: {relative(stage.notebook)} (changed: {', '.join(changed)})", flush=True)
    if waiting and list(goals) != ["profile"]:
        folder = str(relative(chosen.run.folder))
        if refused := _python("qa_tradeoffs.runs.plan", "--before-start", RUN=folder):
            return refused  # the disk has no room for it
    code = _child(chosen, goals)
    if code == 0 and {"all", "report", "publish"} & set(goals):
        report.write_record(report.inputs())
    return code


def _reproduce(chosen: Selection) -> int:
    """Train and evaluate once more from nothing, and compare every byte but the times."""
    again = RunPaths(chosen.run.folder / ".again")
    if code := _make(chosen, ["evaluate"]):
        return code
    shutil.rmtree(again.folder, ignore_errors=True)
    if code := _make(replace(chosen, run=again), ["evaluate"]):
        return code
    one, other = relative(chosen.run.folder), relative(again.folder)
    compare.check(one, other)
    print(f"the same, but for times: {one} and {other}")
    return 0


def _python(*words: str, **variables: str) -> int:
    """Run a module in a process of its own, with make's variables: it loads what nothing else here needs."""
    return subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=os.environ | variables).returncode


def _child(chosen: Selection, goals: Sequence[str]) -> int:
    """Run make on the rules as they are now; it ends with this process, and this process with it."""
    makefile = chosen.run.folder / "rules.mk"
    write_text(makefile, rules.makefile(chosen))
    environment = dict(os.environ)
    if chosen.launch and sys.stderr.isatty():  # no notebook has this terminal: each reports in lines of its own
        environment[progress.LINES] = "1"
    with subprocess.Popen(
        ["make", "--no-print-directory", "--makefile", str(relative(makefile)), *goals],
        cwd=ROOT, env=environment, preexec_fn=lambda: end_with_parent(signal.SIGTERM),
        close_fds=False,  # make counts its jobs over pipes that it hands down
    ) as child:  # fmt: skip
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        while True:
            try:
                code = child.wait()
                return code if code >= 0 else 128 - code  # as a shell puts it where a signal ended it
            except KeyboardInterrupt:  # the terminal has interrupted the child as well
                continue


def main(arguments: list[str] | None = None) -> int:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Run make's targets for the study that the variables name.")
    parser.add_argument("goals", nargs="+", help="all, train, evaluate, profile, publish, reproduce, or a file")
    return run(parser.parse_args(arguments).goals, os.environ)


if __name__ == "__main__":
    end_with_parent(signal.SIGTERM)
    exit_cleanly(main)
