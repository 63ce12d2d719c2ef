"""Fixtures for measurements: a setting on the CPU, a small grid, and a subject."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from qa_tradeoffs.profiling.workloads import Setting, Subject
from qa_tradeoffs.study.config import Grid

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
SETTING = Setting(CPU, ("fp32",), seed=0)
GRID = Grid(batch_sizes=(1,), lengths=(8,))
# Short, but long enough for the clock.
PROFILE = {
    "forward": GRID.model_dump(), "training_step": GRID.model_dump(),
    "passes": 3, "warmup": 1, "min_repeats": 3, "min_seconds": 1e-9,
}  # fmt: skip


def subject(network: Any, **changes: Any) -> Subject:
    """The study's own network; keywords replace its attributes."""
    return Subject(network=network, **{"name": "study", "weights": "random"} | changes)


@pytest.fixture
def own(network_of: Callable[..., Any]) -> Subject:
    return subject(network_of())
