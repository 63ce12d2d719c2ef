"""A study on a cluster: two concurrent jobs of a scheduler, one of them killed and resumed, and one training in two
processes, on this machine and as on two machines of the cluster. All give the answers of a single process."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Checkout

from qa_tradeoffs.runs import results

SLURM = Path(__file__).parents[1] / "slurm.sh"
COMMANDS = ("munged", "slurmctld", "slurmd", "srun", "squeue", "scancel")
ONE_THREAD = "env OMP_NUM_THREADS=1"  # equal sums need equal threads
LAUNCH = f"LAUNCH={ONE_THREAD} srun --ntasks=1 --cpus-per-task=1"
STUDY = ("STUDY=pair", "SEEDS=0 1", "DEVICE=cpu")
SECONDS = 120  # to wait for anything

pytestmark = pytest.mark.cluster


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Slurm of this machine with two slots, and the commands that speak to it."""
    if missing := [command for command in COMMANDS if shutil.which(command) is None]:
        pytest.skip(f"needs Slurm (apt-get install slurm-wlm munge); not here: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("needs root: Slurm's daemon runs jobs for other users")
    folder = tmp_path / "slurm"
    folder.mkdir()
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    try:
        subprocess.run([SLURM, "start", folder, *map(str, free_ports(2))], check=True, timeout=SECONDS)
        yield
    finally:
        subprocess.run([SLURM, "stop", folder], check=True, timeout=SECONDS)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def checkout(folder: Path) -> Checkout:
    """A copy of the repository with the smoke study, whose training is long enough to be interrupted."""
    folder.mkdir()
    copied = Checkout(folder)
    study = (folder / "studies" / "smoke.yaml").read_text()
    longer = study.replace("epochs: 1,", "epochs: 30, save_minutes: 0.02,")
    assert longer != study
    (folder / "studies" / "pair.yaml").write_text(longer)
    return copied


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        threading.Event().wait(0.05)


def running() -> list[str]:
    """The ids of the jobs that run."""
    listed = subprocess.run(["squeue", "-h", "-t", "R", "-o", "%i"], capture_output=True, text=True, check=True)
    return listed.stdout.split()


def test_two_concurrent_jobs_of_which_one_is_killed_and_resumed_agree_with_one_machine(slurm, tmp_path):
    alone, many = checkout(tmp_path / "alone"), checkout(tmp_path / "many")
    model = "runs/pair/distilbert"
    folders = [many.folder / model / f"seed-{seed}" for seed in (0, 1)]

    with ThreadPoolExecutor() as pool:
        cluster = pool.submit(many.make, "-j2", "-k", "evaluate", *STUDY, LAUNCH)
        wait_until(lambda: all(list(f.glob("unfinished/checkpoint-*/elapsed.json")) for f in folders) or cluster.done())
        at_once = running()
        subprocess.run(["scancel", at_once[0]], check=True)
        done = cluster.result()
    assert len(at_once) == 2
    assert done.returncode != 0
    killed, spared = sorted(folders, key=lambda folder: (folder / "training.json").exists())
    assert not (killed / "training.json").exists()
    assert not (killed / "1-train.ipynb").exists()
    assert (spared / "evaluation.json").exists()
    assert running() == []

    again = many.make("-j2", "evaluate", *STUDY, LAUNCH)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("done: ") == 2  # of the four notebooks, those that were missing
    assert "resumed at" in (killed / "1-train.ipynb").read_text()
    assert "resumed at" not in (spared / "1-train.ipynb").read_text()

    local = alone.make("evaluate", *STUDY, f"LAUNCH={ONE_THREAD}")
    assert local.returncode == 0, local.stderr
    for seed in (0, 1):
        name = f"{model}/seed-{seed}/predictions.parquet"
        assert (many.folder / name).read_bytes() == (alone.folder / name).read_bytes()


# As a user would start one training on two machines; here both are this one.
TWO_MACHINES = """#!/bin/sh
exec srun --ntasks=2 --cpus-per-task=1 sh -c 'exec {python} -m accelerate.commands.launch --num_machines=2 \\
  --machine_rank=$SLURM_PROCID --main_process_ip=127.0.0.1 --main_process_port={port} "$@"' - "$@"
"""


def test_one_training_in_two_processes_or_on_two_machines_agrees_with_that_of_one(slurm, tmp_path):
    copied = checkout(tmp_path / "checkout")
    pair = copied.folder / "studies" / "pair.yaml"
    pair.with_name("exact.yaml").write_text(pair.read_text().replace("epochs: 30,", "epochs: 30, dropout: 0.0,"))
    launcher = copied.folder / "two-machines.sh"
    launcher.write_text(TWO_MACHINES.format(python=sys.executable, port=free_ports(1)[0]))
    launcher.chmod(0o755)

    def trained(study: str, name: str, *variables: str) -> Path:
        settings = (f"STUDY={study}", f"RUN=runs/{study}-{name}", "DEVICE=cpu", f"LAUNCH={ONE_THREAD}", *variables)
        done = copied.make("evaluate", *settings)
        assert done.returncode == 0, done.stdout + done.stderr
        return copied.folder / f"runs/{study}-{name}/distilbert/seed-0"

    one, two = trained("exact", "one"), trained("exact", "two", "NPROC=2")
    cluster = trained("exact", "cluster", "NPROC=2", f"ACCELERATE={launcher}")
    for folder, processes in ((one, 1), (two, 2), (cluster, 2)):
        training = results.read(folder / "training.json")
        seconds = training.find("train_seconds")
        assert (seconds.conditions["processes"], seconds.conditions["devices"]) == (processes, 1)
        assert training.find("train_steps").value == 270  # 30 epochs of 72 windows by 8
        assert training.find("train_windows").value == 2160
    np.testing.assert_allclose(losses(one), losses(two), atol=1e-4)
    assert answers(one) == answers(two)
    assert weights(two) == weights(cluster) != weights(one)

    # Other dropout masks, else the same: within the noise of such a training, and of so few questions.
    one, two = trained("pair", "one"), trained("pair", "two", "NPROC=2")
    np.testing.assert_allclose(losses(one), losses(two), atol=0.3)
    f1, other = (results.read(folder / "evaluation.json").find("f1") for folder in (one, two))
    assert f1.interval is not None
    assert f1.interval.low <= other.value <= f1.interval.high


def losses(folder: Path) -> "pd.Series[float]":
    return pd.read_parquet(folder / "history.parquet")["loss"]


def answers(folder: Path) -> list[str]:
    return pd.read_parquet(folder / "predictions.parquet")["prediction"].tolist()


def weights(folder: Path) -> bytes:
    return (folder / "checkpoint" / "model.safetensors").read_bytes()
