"""What a fine-tuning is given, and what comes of it beside the weights."""

from dataclasses import dataclass
from pathlib import Path

import torch

from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.study.config import Training


@dataclass(frozen=True)
class Setup:
    """One fine-tuning: what is learned from, by which recipe, and where.

    ``workspace`` holds the checkpoint to resume from, written every ``recipe.save_minutes``, and is to be removed once
    the result is saved. ``inputs`` is a digest of all that the result depends on: a checkpoint of other inputs is not
    resumed from. ``processes`` share every update.
    """

    windows: Windows
    recipe: Training
    pad_token_id: int
    seed: int
    device: torch.device
    workspace: Path
    inputs: str
    processes: int = 1


@dataclass(frozen=True)
class Fitted:
    """What a training cost and how its loss fell.

    ``history``: one dict per logged step, the last step included: step, epoch, loss (mean since the row before),
    learning_rate, grad_norm.
    ``seconds``: wall-clock from the first update to the last, with the checkpoints written between them, summed over
    attempts when it was resumed; model building is not in it.
    ``tokens``: tokens that are not padding, ``padded_tokens``: tokens that were computed on, over all epochs.
    ``resumed_at``: the step at which this attempt began, 0 where it was the first.
    ``processes``: how many shared the updates, on so many ``devices``: GPUs, or machines that computed on processors.
    """

    history: list[dict[str, float]]
    steps: int
    windows: int
    seconds: float
    tokens: int
    padded_tokens: int
    resumed_at: int
    processes: int = 1
    devices: int = 1

    @property
    def tokens_per_second(self) -> float:
        """Tokens that are not padding, per second of training."""
        return self.tokens / self.seconds

    @property
    def windows_per_second(self) -> float:
        """Windows seen per second of training; a window is one question over one part of its passage."""
        return self.windows / self.seconds

    @property
    def padding_share(self) -> float:
        """Share of the computed tokens that were padding."""
        return 1 - self.tokens / self.padded_tokens
