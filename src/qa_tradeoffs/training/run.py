"""One training run: on what, how, where, and in how many processes."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.metrics.records import Condition
from qa_tradeoffs.models import devices
from qa_tradeoffs.study.config import Training

LAUNCHER = "QA_TRADEOFFS_ACCELERATE"  # the command that starts several processes, if not `accelerate launch`


@dataclass(frozen=True)
class Run:
    """What a training needs beside its network.

    ``seed``: of the order of windows and of the dropout masks.
    ``workspace``: folder of the checkpoint to resume from, which is written every ``recipe.save_minutes``; to be
    removed once the result is saved.
    ``inputs``: digest of all that the result depends on; a checkpoint of other inputs is not resumed from.
    ``processes``: how many share every update, each on a GPU or on its share of the processor's cores.
    """

    windows: Windows
    recipe: Training
    pad_token_id: int
    seed: int
    device: torch.device
    workspace: Path
    inputs: str
    processes: int = 1

    def check(self, network: Any) -> None:
        """Refuse windows too long for the network, and a number of processes that cannot share an update here."""
        longest, limit = int(self.windows.lengths.max()), getattr(network.config, "max_position_embeddings", math.inf)
        if longest > limit:
            raise StudyError(
                f"training.max_length: windows of {longest} tokens, but the network takes {limit} (its config's "
                "max_position_embeddings); give a max_length up to that"
            )
        if self.processes < 1 or self.recipe.batch_size % self.processes:
            raise StudyError(
                f"training.processes: {self.processes} processes cannot share a batch_size of "
                f"{self.recipe.batch_size} evenly; give a number that divides it (NPROC=... on make's command line "
                "comes before the study's)"
            )
        elsewhere = bool(os.environ.get(LAUNCHER))  # on machines whose GPUs are not seen from here
        if self.device.type == "cuda" and not elsewhere and self.processes > (count := torch.cuda.device_count()):
            raise StudyError(
                f"training.processes: {self.processes} processes need as many GPUs, but torch sees {count} here"
            )

    def conditions(self) -> dict[str, Condition]:
        """The recipe, flat, and the precision that it comes down to on this device."""
        return self.recipe.model_dump() | {"precision": devices.precision(self.recipe.precision, self.device)}
