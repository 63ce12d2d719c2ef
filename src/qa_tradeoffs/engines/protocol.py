"""What an engine is given and what it has to do; each is a module beside this one, and a line in ``registry``."""

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
    """A trained network, from which each engine is prepared.

    ``network``: in fp32, on the ``device``. ``pad_token_id``: its tokenizer's. ``precision``: in which torch runs it,
    'fp32' or 'bf16'. ``folder``: for the files that engines make of it; it holds none of another network.
    """

    network: Any
    pad_token_id: int
    device: torch.device
    precision: str
    folder: Path


class Engine(answers.Engine, Protocol):
    """What runs a trained network when it serves."""

    @property
    def file(self) -> Path | None:
        """The file that it runs; None where that is the checkpoint."""

    @property
    def conditions(self) -> Mapping[str, str]:
        """What its figures are recorded with, its ``precision`` among them."""

    def call(self, windows: Windows, rows: Int64) -> Callable[[], object]:
        """A call that computes the logits of the windows ``rows``, for a clock: its inputs are on the device."""

    def elsewhere(self, windows: Windows, rows: Int64) -> Callable[[], Callable[[], Callable[[], object]]] | None:
        """What can be sent to another process, to measure the memory of such a call there.

        It loads the libraries, and returns what opens the ``file`` and returns the call. None where there is no file.
        """
