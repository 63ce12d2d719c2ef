"""Tiny networks and their checkpoints."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.models import checkpoints, networks, tokenizers
from qa_tradeoffs.study.config import Model
from tests.conftest import SIZES

VOCABULARY = 60
TEXTS = ["The cat sat on the mat.", "The dog sat on the cat."] * 2
IDS = torch.tensor([[2, 7, 3, 9, 11, 3]])


def tiny(architecture: str = "bert", **settings: Any) -> Model:
    sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": 32, **SIZES[architecture], **settings}
    return Model(label="tiny", architecture=architecture, config=sizes)


def built(architecture: str = "bert", seed: int = 0) -> Any:
    return networks.load_network(tiny(architecture), None, VOCABULARY, seed).eval()


def padded_batch() -> dict[str, torch.Tensor]:
    """Three rows of 20, 12 and 1 tokens of a vocabulary of 50, with answer positions."""
    mask = torch.arange(20) < torch.tensor([[20], [12], [1]])
    ids = torch.randint(50, (3, 20), generator=torch.Generator().manual_seed(1))
    answers = {"start_positions": torch.tensor([3, 11, 0]), "end_positions": torch.tensor([5, 11, 0])}
    return {"input_ids": ids, "attention_mask": mask.long(), **answers}


def logits(network: Any) -> torch.Tensor:
    with torch.no_grad():
        output = network(input_ids=IDS)
    return torch.stack([output.start_logits, output.end_logits])


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """A function that saves a tiny network of an architecture; ``change`` edits the folder afterwards."""

    def write(architecture: str = "bert", name: str = "checkpoint", **settings: Any) -> Path:
        folder = tmp_path / name
        checkpoints.save(built(architecture), tokenizers.train_wordpiece(TEXTS, VOCABULARY), folder)
        if settings:
            content = json.loads((folder / "config.json").read_text()) | settings
            (folder / "config.json").write_text(json.dumps(content))
        return folder

    return write


def local(folder: Path, **keys: Any) -> Model:
    return Model(label="local", path=folder, **keys)


def sentence(error: pytest.ExceptionInfo[StudyError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)
