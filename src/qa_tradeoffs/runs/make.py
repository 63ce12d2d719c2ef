"""Make's targets for a study: hold the study's lock, write the rules for stale stages, and run make on them.

STUDY=demo MODELS="bert distilbert" python -m qa_tradeoffs.runs.make all

The variables of make's command line arrive through the environment, which no shell interprets.
"""

import argparse
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import exit_cleanly
from qa_tradeoffs.core.files import ROOT, write_text
from qa_tradeoffs.core.locks import end_with_parent, locked, others
from qa_tradeoffs.runs import compare, graph, outlook, rules
from qa_tradeoffs.runs.paths import RunPaths, relative
from qa_tradeoffs.runs.selection import Selection, selected

_SECONDS_TO_NOTICE = 2.0  # in which a make that has just ended releases its lock


def main(arguments: list[str] | None = None) -> int:
    """Run make's goals for the study in its variables; returns make's exit status. Raises StudyError."""
    parser = argparse.ArgumentParser(description="Run make's targets for the study that the variables name.")
    parser.add_argument(
        "goals", nargs="+", help="all, train, evaluate, profile, compare, plan, publish, reproduce, a file"
    )
    goals = parser.parse_args(arguments).goals
    if goals == ["plan"]:
        return _python("qa_tradeoffs.runs.plan")
    chosen = selected(os.environ)
    if "n" in os.environ.get("MAKEFLAGS", "").partition(" ")[0].lstrip("-"):  # make -n only prints its commands
        return _child(chosen, goals)
    folder = chosen.run.folder
    lock = folder.with_name(f".{folder.name}.lock")
    patience = math.inf if os.environ.get("WAIT") else _SECONDS_TO_NOTICE
    with locked(lock, str(relative(folder)), patience=patience, advice=", or add WAIT=1"):
        for other in others(lock):
            print(f"notice: {other} runs at the same time: each will slow down the other's timings", file=sys.stderr)
        chosen.run.claim(ROOT / chosen.study_file)
        return _reproduce(chosen) if goals == ["reproduce"] else _make(chosen, goals)


def _make(chosen: Selection, goals: list[str]) -> int:
    """Print what is repeated and why, and what remains to be done; then do it."""
    stages = graph.stages(chosen)
    waiting = [stage for stage in stages if stage.name in graph.MEASURED and stage.stale]
    if waiting and (stands := chosen.study.defaults()):
        print(f"defaults: {stands}", flush=True)
    for stage in waiting:
        if not stage.missing and (changed := stage.changes()):
            print(f"again: {relative(stage.notebook)} (changed: {', '.join(changed)})", flush=True)
    if waiting and goals != ["profile"]:
        run = str(relative(chosen.run.folder))
        if refused := _python("qa_tradeoffs.runs.plan", "--before-start", RUN=run):
            return refused  # wrong data, or too little disk space
    on_a_terminal = sys.stderr.isatty()
    code = _child(chosen, goals, outlook.announced(chosen.run, stages[:-1], goals) if on_a_terminal else {})
    if code == 0 and {"all", "report", "publish"} & set(goals):
        stages[-1].write_record(stages[-1].inputs())
    return code


def _reproduce(chosen: Selection) -> int:
    """Train and evaluate again from scratch, and compare every byte except times."""
    again = RunPaths(chosen.run.folder / ".again")
    if code := _make(chosen, ["evaluate"]):
        return code
    shutil.rmtree(again.folder, ignore_errors=True)
    if code := _make(replace(chosen, run=again), ["evaluate"]):
        return code
    compare.check(relative(chosen.run.folder), relative(again.folder))
    return 0


def _python(*words: str, **variables: str) -> int:
    """Run a module in a separate process, with make's variables: it loads libraries that nothing else here needs."""
    return subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=os.environ | variables).returncode


def _child(chosen: Selection, goals: list[str], variables: Mapping[str, str] = MappingProxyType({})) -> int:
    """Run make on the current rules; both processes end together."""
    makefile = chosen.run.folder / "rules.mk"
    write_text(makefile, rules.makefile(chosen))
    environment = os.environ | variables
    if chosen.launch and sys.stderr.isatty():  # no notebook has this terminal: each prints its own lines
        environment[progress.LINES] = "1"
    with subprocess.Popen(
        ["make", "--no-print-directory", "--makefile", str(relative(makefile)), *goals],
        cwd=ROOT, env=environment, preexec_fn=lambda: end_with_parent(signal.SIGTERM),
        close_fds=False,  # make's job server passes pipes to children
    ) as child:  # fmt: skip
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        while True:
            try:
                code = child.wait()
                return code if code >= 0 else 128 - code  # as a shell reports a signal
            except KeyboardInterrupt:  # the terminal also interrupted the child
                continue


if __name__ == "__main__":
    end_with_parent(signal.SIGTERM)
    exit_cleanly(main)
