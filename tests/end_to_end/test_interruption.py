"""Whatever is killed at any moment, make resumes from there and gives the same results."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
from conftest import Checkout

from qa_tradeoffs.core import locks, progress
from qa_tradeoffs.runs import compare, results

MARKS = "unfinished/checkpoint-*/elapsed.json"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


def start(checkout: Checkout, *arguments: str) -> subprocess.Popen[str]:
    """Make, in a separate process group."""
    return subprocess.Popen(
        checkout.command("STUDY=tiny", *arguments),
        cwd=checkout.folder,
        env=checkout.environment(),
        process_group=0,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job would ignore it
    )


def processes(make: subprocess.Popen[str], role: str = "") -> list[psutil.Process]:
    """Make and all its remaining processes; or only its kernels, or those that run a notebook."""
    word = {"": "", "kernel": "ipykernel_launcher", "run": "qa_tradeoffs.runs.execute"}[role]
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(make.pid)
        return [process for process in (top, *top.children(recursive=True)) if word in command(process)]
    return []


def command(process: psutil.Process) -> str:
    """The words that a process was started with; none if it has ended."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def kill(make: subprocess.Popen[str], ending: signal.Signals, chosen: psutil.Process | None = None) -> None:
    """Send the signal to the chosen process, or to make's process group; all processes must end on their own."""
    watched = processes(make)
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        os.killpg(make.pid, ending) if chosen is None else chosen.send_signal(ending)
    make.wait(600)  # interrupted alone, make waits for what it has started
    _, alive = psutil.wait_procs(watched, timeout=30)
    assert not alive, f"{len(alive)} processes outlived make by half a minute"


def when(condition: Callable[[], bool], make: subprocess.Popen[str]) -> bool:
    """Wait until the condition holds; False if make ends first."""
    while make.poll() is None:
        if condition():
            return True
        time.sleep(0.01)
    return False


def begins(make: subprocess.Popen[str], notebook: str) -> bool:
    """Wait until make reaches this notebook; False if make ends first."""
    return when(lambda: any(f"/{notebook}.ipynb" in command(process) for process in processes(make)), make)


def work(make: subprocess.Popen[str]) -> str:
    """The current notebook of a make, and its reported progress."""
    notebook, progressed = "between notebooks", ""
    for process in processes(make):
        if found := re.search(r"runs\.execute.*?/(\d-\w+)\.ipynb", command(process)):
            notebook = found[1]
        with contextlib.suppress(psutil.Error, OSError, ValueError, KeyError):
            state = json.loads(Path(process.environ()[progress.VARIABLE]).read_text())
            progressed = ", {label} {done}/{total}".format(**state)
    return notebook + progressed


def seconds_of(notebook: Path) -> float:
    """How long papermill ran it."""
    return float(json.loads(notebook.read_text())["metadata"]["papermill"]["duration"])


def finished_stages(run: Path) -> dict[str, list[tuple[int, int]]]:
    """Notebook → inode and time of it and of its result, of every stage whose notebook is in place."""
    result_of = {"1-train": "training", "2-evaluate": "evaluation", "3-profile": "profile"}
    return {
        str(notebook): [
            (file.stat().st_ino, file.stat().st_mtime_ns)
            for file in (notebook, notebook.with_name(f"{result_of[notebook.stem]}.json"))
        ]
        for notebook in run.rglob("[123]-*.ipynb")
    }


def check_nothing_is_half_there(run: Path) -> None:
    """Every file under a finished name can be read, and every checkpoint is whole."""
    for kind in ("training", "evaluation", "profile"):
        for path in run.rglob(f"{kind}.json"):
            results.read(path)
    for path in run.rglob("*.parquet"):
        if not path.name.startswith("."):
            pd.read_parquet(path)
    for folder in run.rglob("checkpoint"):
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_a_training_whose_processes_are_killed_in_turn_resumes_from_its_checkpoints(finished, checkout):
    run = checkout.folder / "runs/tiny"
    folder = run / "bert/seed-0"
    shutil.rmtree(folder)

    def killed_at(step: int, ending: signal.Signals, role: str | None) -> None:
        make = start(checkout, "evaluate", "MODELS=bert")
        assert when(lambda: any(int(mark.parent.name.split("-")[1]) >= step for mark in folder.glob(MARKS)), make)
        # Of those that run a notebook, the last is not a shell around one.
        kill(make, ending, None if role is None else processes(make, role)[0 if role == "" else -1])
        check_nothing_is_half_there(run)
        assert not (folder / "1-train.ipynb").exists()

    killed_at(1, signal.SIGKILL, "")
    killed_at(2, signal.SIGKILL, "kernel")
    killed_at(3, signal.SIGTERM, "run")
    killed_at(4, signal.SIGINT, None)
    done = checkout.make("evaluate", "STUDY=tiny", "MODELS=bert")
    assert done.returncode == 0, done.stderr
    resumed = re.search(r"updates.*?resumed at (\d+)", (folder / "1-train.ipynb").read_text(), re.DOTALL)
    assert resumed is not None
    assert int(resumed[1]) >= 4
    assert not (folder / "unfinished").exists()
    assert compare.differences(run, finished.folder / "runs/tiny") == []


def test_finished_stages_are_kept_when_make_is_interrupted(checkout):
    run = checkout.folder / "runs/tiny"
    (run / "bert/seed-0/evaluation.json").unlink()
    (run / "bert/seed-0/2-evaluate.ipynb").unlink()
    before = finished_stages(run)
    make = start(checkout, "evaluate", "MODELS=bert")
    assert when((run / "bert/seed-0/evaluation.json").exists, make)
    kill(make, signal.SIGINT)
    assert finished_stages(run).items() >= before.items()
    assert (run / "bert/seed-0/evaluation.json").exists()


def test_a_second_make_of_the_study_is_refused_and_changes_nothing(checkout):
    checkout.edit("studies/prices.yaml", "\n")
    with locks.locked(checkout.folder / "runs/.tiny.lock", "runs/tiny"):
        refused = checkout.make("all", "STUDY=tiny")
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert "error: runs/tiny: is in use by '" in refused.stderr
    assert f"(process {os.getpid()} on " in refused.stderr
    assert "or add WAIT=1" in refused.stderr
    assert checkout.repeats() == {"5-analysis"}


@pytest.mark.slow
def test_two_makes_at_once_end_with_one_study_and_the_second_waits_if_asked_to(checkout):
    run = checkout.folder / "runs/tiny"
    before = finished_stages(run)
    for name in ("training.json", "1-train.ipynb"):
        (run / "distilbert/seed-0" / name).unlink()
    first = start(checkout, "evaluate")
    assert when((run / "distilbert/seed-0/partial-1-train.ipynb").exists, first)
    refused = checkout.make("all", "STUDY=tiny")
    assert refused.returncode != 0
    assert "qa_tradeoffs.runs.make evaluate' (process " in refused.stderr
    waited = checkout.make("evaluate", "STUDY=tiny", "WAIT=1")
    assert first.wait(60) == 0  # it had ended before the second began
    assert waited.returncode == 0, waited.stderr
    assert "runs/tiny: waiting for 'python" in waited.stderr
    repeated = {name for name, at in finished_stages(run).items() if before[name] != at}
    assert repeated == {str(run / "distilbert/seed-0" / name) for name in ("1-train.ipynb", "2-evaluate.ipynb")}
    assert "1-train" not in waited.stdout  # the first had done it


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one model, run from end to end."""
    whole = Checkout(tmp_path_factory.mktemp("undisturbed"))
    done = whole.make("all", "STUDY=tiny", "MODELS=distilbert")
    assert done.returncode == 0, done.stderr
    return whole.folder / "runs/tiny"


NOTEBOOKS = {
    name: f"runs/tiny/{path}/{name}.ipynb"
    for name, path in {
        "1-train": "distilbert/seed-0", "2-evaluate": "distilbert/seed-0", "3-profile": "distilbert", "4-compare": ".",
        "5-analysis": ".",
    }.items()
}  # fmt: skip


# Twice as many moments as here: each in this notebook, somewhere between its beginning and its end.
MOMENTS = ["1-train"] * 3 + ["2-evaluate"] * 2 + ["3-profile"] * 2 + ["4-compare"] * 2 + ["5-analysis"]


@pytest.mark.slow
def test_killed_at_twenty_moments_it_ends_as_an_undisturbed_run(undisturbed, tmp_path):
    chance, checkout = random.Random(0), Checkout(tmp_path)
    run, at_work = checkout.folder / "runs/tiny", []
    took = {name: seconds_of(undisturbed.parents[1] / path) for name, path in NOTEBOOKS.items()}
    done: dict[str, list[tuple[int, int]]] = {}

    def check_the_end() -> None:
        assert finished_stages(run).items() >= done.items(), "a finished stage was repeated or lost"
        assert not list(run.rglob("unfinished"))
        assert compare.differences(run, undisturbed) == []

    while len(at_work) < 2 * len(MOMENTS):
        name, ending = MOMENTS[len(at_work) % len(MOMENTS)], SIGNALS[len(at_work) % len(SIGNALS)]
        make = start(checkout, "all", "MODELS=distilbert")
        if not begins(make, name):  # all of it was done, so once more from nothing
            assert make.returncode == 0
            check_the_end()
            shutil.rmtree(run)
            done = {}
            continue
        with contextlib.suppress(subprocess.TimeoutExpired):
            make.wait(chance.uniform(0, 0.9 * took[name]))
        at_work.append(work(make))
        there = processes(make)
        kill(make, ending, None if len(at_work) % 2 or not there else chance.choice(there))
        check_nothing_is_half_there(run)
        before, done = done, finished_stages(run)
        assert done.items() >= before.items(), f"kill {len(at_work)}: a finished stage was repeated or lost"
        print(f"kill {len(at_work)}, {ending.name}, at {at_work[-1]}: {len(done)} notebooks finished", file=sys.stderr)
    last = checkout.make("all", "STUDY=tiny", "MODELS=distilbert")
    assert last.returncode == 0, last.stderr
    check_the_end()
    assert {stage.split(",")[0] for stage in at_work} >= set(NOTEBOOKS)


@pytest.mark.slow
def test_without_any_network_a_study_runs_from_end_to_end(undisturbed, tmp_path):
    cut_off = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*cut_off, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine does not let us make a network namespace")
    alone = Checkout(tmp_path)
    command = [*cut_off, *alone.command("STUDY=tiny", "MODELS=distilbert", "all")]
    environment = {key: value for key, value in alone.environment().items() if not key.startswith("HF_")}
    done = subprocess.run(command, cwd=alone.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert compare.differences(alone.folder / "runs/tiny", undisturbed) == []
