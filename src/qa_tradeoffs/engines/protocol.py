"""What an engine gets and offers. Each engine is a module of this wing and a line in ``registry``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.evaluation import answers
from qa_tradeoffs.evaluation.spans import Int64


@dataclass(frozen=True)
class Trained:
    """A trained network from which engines are prepared.

    ``network``: in fp32, on the ``device``. ``pad_token_id``: its tokenizer's. ``precision``: in which torch runs it,
    'fp32', 'bf16' or 'fp16'. ``folder``: for the files that engines write; it holds files of this network only.
    """

    network: Any
    pad_token_id: int
    device: torch.device
    precision: str
    folder: Path


class Engine(answers.Engine, Protocol):
    """Runs a trained network in service."""

    @property
    def file(self) -> Path | None:
        """The file that it runs; None if it runs the checkpoint."""

    @property
    def conditions(self) -> Mapping[str, str]:
        """The conditions recorded with its figures, including ``precision``."""

    def call(self, windows: Windows, rows: Int64) -> Callable[[], object]:
        """A call, for timing, that computes the logits of the windows ``rows``, from inputs prepared in advance."""

    def elsewhere(self, windows: Windows, rows: Int64) -> Callable[[], Callable[[], Callable[[], object]]] | None:
        """A picklable function for measuring the memory of such a call in another process.

        It loads the libraries and returns a function that opens the ``file`` and returns the call. None without a file.
        """
