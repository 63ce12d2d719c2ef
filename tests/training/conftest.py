"""A training of five windows, configured by each test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qa_tradeoffs.data import features
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training import fine_tuning
from qa_tradeoffs.training.setup import Fitted, Setup


@pytest.fixture(scope="module")
def windows(examples: Any, tokenizer: Any) -> features.Windows:
    return features.build(examples, tokenizer, 64, 16)


@pytest.fixture
def setup_of(windows: features.Windows, tokenizer: Any, tmp_path: Path) -> Callable[..., Setup]:
    """A training on a CPU; recipe keys as keywords."""

    def build(
        seed: int = 0, workspace: str = "unfinished", inputs: str = "same", processes: int = 1, **keys: Any
    ) -> Setup:
        recipe = Training(
            **{"learning_rate": 1e-3, "epochs": 2, "batch_size": 2, "max_length": 64, "stride": 16} | keys
        )
        return Setup(
            windows, recipe, tokenizer.pad_token_id, seed, torch.device("cpu"), tmp_path / workspace, inputs, processes
        )

    return build


@pytest.fixture
def fit(setup_of: Callable[..., Setup]) -> Callable[..., Fitted]:
    """fine_tuning.fit with the keywords of ``setup_of``."""
    return lambda network, **keys: fine_tuning.fit(network, setup_of(**keys))
