"""Whatever is killed at whatever moment: make goes on from there, and ends as if nothing had happened."""

import contextlib
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import Checkout

from qa_tradeoffs import compare, processes, results

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


def start(checkout: Checkout, *arguments: str) -> subprocess.Popen[str]:
    """Make, in a process group of its own."""
    return subprocess.Popen(
        checkout.command("STUDY=tiny", *arguments),
        cwd=checkout.folder,
        env=checkout.environment(),
        process_group=0,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job would ignore it
    )


def descendants(pid: int) -> list[int]:
    """The process and all that it started that are still there."""
    found = [pid]
    for process in found:
        try:
            tasks = list(Path(f"/proc/{process}/task").iterdir())
            found += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:  # it has just ended
            continue
    return found


def kill(make: subprocess.Popen[str], ending: signal.Signals, choose: Callable[[list[int]], int] | None) -> None:
    """Send the signal to the one that is chosen, or to make's process group; all processes must end by themselves."""
    there = descendants(make.pid)
    watched = [os.pidfd_open(process) for process in there if Path(f"/proc/{process}").exists()]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(make.pid, ending) if choose is None else os.kill(choose(there), ending)
    make.wait(600)  # interrupted alone, make waits for what it has started
    until = time.monotonic() + 30
    while watched and time.monotonic() < until:
        ended = select.select(watched, [], [], 1)[0]
        for process in ended:
            os.close(process)
        watched = [process for process in watched if process not in ended]
    assert not watched, f"{len(watched)} processes outlived make by half a minute"


def when(condition: Callable[[], bool], make: subprocess.Popen[str]) -> None:
    """Come back as soon as the condition holds."""
    while not condition():
        assert make.poll() is None, "make ended before"
        time.sleep(0.01)


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


def test_a_training_whose_make_was_killed_ends_at_once_and_goes_on_from_its_checkpoint(finished, checkout):
    run = checkout.folder / "runs/tiny"
    folder = run / "bert/seed-0"
    shutil.rmtree(folder)
    make = start(checkout, "evaluate", "MODELS=bert")
    when(lambda: any(folder.glob("unfinished/checkpoint-[3-9]/elapsed.json")), make)
    kill(make, signal.SIGKILL, lambda there: there[0])
    assert not (folder / "1-train.ipynb").exists()
    done = checkout.make("evaluate", "STUDY=tiny", "MODELS=bert")
    assert done.returncode == 0, done.stderr
    assert "resumed at" in (folder / "1-train.ipynb").read_text()
    assert not (folder / "unfinished").exists()
    assert compare.differences(run, finished.folder / "runs/tiny") == []


def test_what_is_finished_as_make_is_interrupted_stays(checkout):
    run = checkout.folder / "runs/tiny"
    (run / "bert/seed-0/evaluation.json").unlink()
    (run / "bert/seed-0/2-evaluate.ipynb").unlink()
    before = finished_stages(run)
    make = start(checkout, "evaluate", "MODELS=bert")
    when(lambda: (run / "bert/seed-0/evaluation.json").exists(), make)
    kill(make, signal.SIGINT, None)
    assert finished_stages(run).items() >= before.items()
    assert (run / "bert/seed-0/evaluation.json").exists()


def test_a_second_make_of_the_study_is_refused_and_changes_nothing(checkout):
    checkout.touch("notebooks/4-analysis.ipynb")
    with processes.locked(checkout.folder / "runs/.tiny.lock", "runs/tiny"):
        refused = checkout.make("all", "STUDY=tiny")
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert "error: runs/tiny: is in use by '" in refused.stderr
    assert f"(process {os.getpid()} on " in refused.stderr
    assert "or add WAIT=1" in refused.stderr
    assert checkout.repeats() == {"4-analysis"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one model, run from end to end."""
    whole = Checkout(tmp_path_factory.mktemp("undisturbed"))
    done = whole.make("all", "STUDY=tiny", "MODELS=distilbert")
    assert done.returncode == 0, done.stderr
    return whole.folder / "runs/tiny"


@pytest.mark.slow
def test_killed_at_twenty_moments_it_ends_as_an_undisturbed_run(undisturbed, tmp_path):
    chance, killed = random.Random(0), Checkout(tmp_path)
    run = killed.folder / "runs/tiny"
    done: dict[str, list[tuple[int, int]]] = {}
    anew = 0
    for number in range(20):
        make = start(killed, "all", "MODELS=distilbert")
        try:
            make.wait(chance.uniform(0.2, 12))
            shutil.rmtree(run)  # it came to its end: once more from the beginning
            done, anew = {}, anew + 1
            continue
        except subprocess.TimeoutExpired:
            pass
        ending = SIGNALS[number % 3]
        kill(make, ending, None if number % 2 else chance.choice)
        check_nothing_is_half_there(run)
        now = finished_stages(run)
        assert now.items() >= done.items(), (
            f"after kill {number} ({ending.name}): a finished stage was repeated or lost"
        )
        done = now
        print(f"kill {number}: {ending.name}, {len(done)} stages finished, {anew} runs finished", file=sys.stderr)
    last = killed.make("all", "STUDY=tiny", "MODELS=distilbert")
    assert last.returncode == 0, last.stderr
    assert finished_stages(run).items() >= done.items()
    assert not list(run.rglob("unfinished"))
    assert compare.differences(run, undisturbed) == []


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
