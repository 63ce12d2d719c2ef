"""What cannot be trained as it was asked for is refused before anything begins."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training.run import LAUNCHER, Run

WINDOWS: Any = SimpleNamespace(lengths=np.array([40, 33]))
NETWORK = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=40))


def run_of(processes: int = 1, device: str = "cpu", **recipe: Any) -> Run:
    return Run(WINDOWS, Training(**recipe), 0, 0, torch.device(device), Path("unfinished"), "same", processes)


def test_windows_longer_than_the_network_takes_are_refused():
    run_of().check(NETWORK)
    shorter = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=39))
    with pytest.raises(StudyError, match="max_length: windows of 40 tokens, but the network takes 39"):
        run_of().check(shorter)
    run_of().check(SimpleNamespace(config=SimpleNamespace()))  # positions relative to each other: of any length


@pytest.mark.parametrize("processes", [3, 8, -1])
def test_a_number_of_processes_that_does_not_divide_the_batch_is_refused(processes):
    with pytest.raises(StudyError, match=f"{processes} processes cannot share a batch_size of 4 evenly"):
        run_of(processes, batch_size=4).check(NETWORK)


def test_each_process_needs_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    run_of(2, "cuda").check(NETWORK)
    with pytest.raises(StudyError, match=r"training\.processes: 4 processes need as many GPUs, but torch sees 2 here"):
        run_of(4, "cuda").check(NETWORK)
    monkeypatch.setenv(LAUNCHER, "several-machines.sh")
    run_of(4, "cuda").check(NETWORK)


def test_the_conditions_name_the_precision_that_it_comes_down_to():
    conditions = run_of().conditions()
    assert conditions["precision"] == "fp32"
    assert conditions["learning_rate"] == 2e-5
    assert all(value is None or math.isfinite(float(value)) for key, value in conditions.items() if key != "precision")
