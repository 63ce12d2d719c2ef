"""Several processes make the same updates from the same windows as one, and failures in one are reported."""

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import features
from qa_tradeoffs.models.inputs import Inputs
from qa_tradeoffs.training import collation, trainer, workers
from qa_tradeoffs.training.setup import LAUNCHER, Fitted

# Adding the same to all logits changes no probability, so the gradients of these are rounding errors. Adam divides by
# their size and makes steps of the usual length of them.
BLIND = ("qa_outputs.bias", "output.LayerNorm.bias", "output.layernorm.bias", "key.bias")
SECONDS = 120  # to wait for anything


@pytest.fixture(scope="module")
def windows(examples: Any, tokenizer: Any) -> features.Windows:
    """Of unlike lengths."""
    longer = [
        dataclasses.replace(e, question=e.question + " Oslo" * i) for i, e in enumerate([*examples, *examples[:2]])
    ]
    return features.build(longer, tokenizer, 64, 16)


@pytest.fixture
def fit(fit: Callable[..., Fitted]) -> Callable[..., Fitted]:
    """Seven windows, four at a time: two updates an epoch, the second of three windows, so that shares are unequal."""
    return functools.partial(fit, batch_size=4)


def comparable(history: list[dict[str, float]]) -> np.ndarray:
    return np.array([(row["step"], row["epoch"], row["loss"], row["learning_rate"]) for row in history])


def test_two_processes_give_the_same_weights_and_history_as_one(network_of, fit, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress"))
    one, two = network_of(), network_of()
    alone, shared = (fit(net, processes=n, workspace=str(n), dropout=0.0) for net, n in ((one, 1), (two, 2)))
    for name, weight in one.state_dict().items():
        if not name.endswith(BLIND):
            torch.testing.assert_close(weight, two.state_dict()[name], atol=1e-6, rtol=0)
    np.testing.assert_allclose(comparable(alone.history), comparable(shared.history), atol=1e-5)
    assert (shared.steps, shared.windows, shared.tokens) == (alone.steps, alone.windows, alone.tokens)
    assert (shared.steps, shared.windows) == (4, 14)
    assert (shared.processes, shared.devices, alone.processes, alone.devices) == (2, 1, 1, 1)
    state = json.loads((tmp_path / "progress").read_text())
    assert (state["label"], state["done"], state["total"]) == ("training step", 4, 4)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_the_error_of_one_process_is_the_message(network_of, fit):
    with pytest.raises(StudyError, match=r"^training\.learning_rate: the loss is no longer a number \(nan\) after"):
        fit(network_of(), processes=2, learning_rate=1e30, epochs=20)


@pytest.mark.parametrize(("processes", "batch_size"), [(3, 4), (8, 4), (-1, 4)])
def test_a_number_of_processes_that_does_not_divide_the_batch_is_refused(processes, batch_size, network_of, fit):
    message = rf"^training\.processes: {processes} processes cannot share a batch_size of {batch_size} evenly; give"
    with pytest.raises(StudyError, match=message):
        fit(network_of(), processes=processes, batch_size=batch_size)


def test_each_process_needs_its_own_gpu(network_of, setup_of, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    network, gpu = network_of(), torch.device("cuda", 0)
    two, four = (dataclasses.replace(setup_of(processes=n, batch_size=4), device=gpu) for n in (2, 4))
    two.check(network)
    with pytest.raises(StudyError, match=r"^training\.processes: 4 processes need as many GPUs, but torch sees 2 here"):
        four.check(network)
    monkeypatch.setenv(LAUNCHER, "several-machines.sh")
    four.check(network)


@pytest.mark.parametrize("n_rows", [8, 7, 5, 1])
def test_each_window_belongs_to_one_process_and_the_mean_is_the_updates(n_rows, windows):
    alone = collation.Collator(windows, 0, Inputs(frozenset({"input_ids", "attention_mask"})), own_cost=1.0)
    rows = [row % 7 for row in range(n_rows)]
    each = [dataclasses.replace(alone, rank=rank, processes=4) for rank in range(4)]
    given = [np.concatenate(one.cut(rows)[1]) for one in each]
    with_a_share = [rows_of for rank, rows_of in enumerate(given) if rank < n_rows]
    assert sorted(np.concatenate(with_a_share).tolist()) == sorted(rows)
    assert max(map(len, given)) - min(map(len, given)) <= 1
    shares = [part["share"] for one in each for part in one(rows)["parts"]]
    assert np.sum(shares) / 4 == pytest.approx(1)
    assert [sum(part["share"] for part in one(rows)["parts"]) == 0 for one in each] == [r >= n_rows for r in range(4)]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"failure": "too hot", "log": "Root Cause:\n exitcode : 1 (pid: 7)"}, "too hot"),
        (
            {"failure": "lost the other one", "log": "Root Cause:\n exitcode : -9 (pid: 7)  (SIGKILL)"},
            "training.processes: one of 2 was killed, probably because memory ran out; training.batch_size: a batch of "
            "2 does not fit into this machine's memory; try 1",
        ),
        (
            {"log": "usage: accelerate"},
            "training.processes: one of 2 failed (they could not be started); their output is in {folder}/log",
        ),
    ],
)
def test_the_reason_why_processes_ended_is_one_sentence(files, said, setup_of, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert workers._failure(tmp_path, setup_of(processes=2)) == said.format(folder=tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StudyError("too hot"), "too hot"),
        (KeyError("x"), "training.processes: one of 2 failed (KeyError: 'x'); their output is in {folder}/log"),
    ],
)
def test_the_first_failure_is_the_message(error, said, network_of, setup_of, monkeypatch, tmp_path):
    torch.save((network_of(), setup_of(processes=2)), tmp_path / "task.pt")
    for failure in (error, RuntimeError("Connection closed by peer")):
        monkeypatch.setattr(trainer, "train", Mock(side_effect=failure))
        with pytest.raises(type(failure)):
            workers.work(tmp_path)
    assert (tmp_path / "failure").read_text() == said.format(folder=tmp_path)


def test_a_missing_launcher_is_one_sentence(network_of, fit, monkeypatch):
    monkeypatch.setenv(LAUNCHER, "no-such-command launch")
    with pytest.raises(StudyError, match=r"^ACCELERATE: 'no-such-command' cannot be started \(No such file"):
        fit(network_of(), processes=2)


def processes_of(folder: Path) -> list[int]:
    """The processes that work on this exchange."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        if str(folder / "exchange").encode() in words and b"qa_tradeoffs.training.workers" in words:
            found.append(int(entry.name))
    return sorted(found)


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        threading.Event().wait(0.02)


LONG = {"processes": 2, "epochs": 200, "save_minutes": 1e-9}  # a checkpoint at every tenth update


@pytest.mark.slow
def test_killed_processes_are_reported_and_resume_to_the_same_weights_and_history(network_of, fit, tmp_path):
    undisturbed, resumed = network_of(), network_of()
    history = fit(undisturbed, workspace="one", **LONG).history

    def kill_one() -> None:
        wait_until(lambda: list((tmp_path / "two").glob("checkpoint-*/elapsed.json")))
        os.kill(processes_of(tmp_path / "two")[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(StudyError, match=r"^training\.processes: one of 2 was killed, .*; tra"):
        fit(network_of(), workspace="two", **LONG)
    killer.join()
    assert processes_of(tmp_path / "two") == []

    fitted = fit(resumed, workspace="two", **LONG)
    assert 0 < fitted.resumed_at < 400
    pairs = zip(undisturbed.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert comparable(fitted.history).tolist() == comparable(history).tolist()


PARENT = """
import sys, torch
from qa_tradeoffs.training import fine_tuning
fine_tuning.fit(*torch.load(sys.argv[1], weights_only=False))
"""


@pytest.mark.slow
def test_they_end_with_their_parent_process(network_of, setup_of, tmp_path):
    endless = setup_of(processes=2, batch_size=4, epochs=9999, save_minutes=1e-9)
    torch.save((network_of(), endless), tmp_path / "task")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "task")])
    try:
        wait_until(lambda: list((tmp_path / "unfinished").glob("checkpoint-*/elapsed.json")))
        assert len(processes_of(tmp_path / "unfinished")) == 3  # the launcher and two
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: processes_of(tmp_path / "unfinished") == [])
