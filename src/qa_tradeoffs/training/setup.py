"""One fine-tuning: its inputs and its results."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers.integrations import is_tensorboard_available

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.core.words import counted
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.metrics.records import Condition, Record
from qa_tradeoffs.models import inputs, layers, precisions
from qa_tradeoffs.models.dropout import dropout, set_dropout
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training.distillation import Lesson

LAUNCHER = "QA_TRADEOFFS_ACCELERATE"  # replaces `accelerate launch`


@dataclass(frozen=True)
class Setup:
    """The data, the recipe and the workspace of one fine-tuning.

    ``workspace`` holds the checkpoint to resume from, written every ``recipe.save_minutes``; remove it once the result
    is saved. ``inputs`` is a digest of everything that the result depends on; only a checkpoint with the same digest is
    resumed. ``processes`` share every update. ``held_out``: windows for early stopping, not trained on. ``lesson``:
    what a teacher adds to the labels.
    """

    windows: Windows
    recipe: Training
    pad_token_id: int
    seed: int
    device: torch.device
    workspace: Path
    inputs: str
    processes: int = 1
    held_out: Windows | None = None
    lesson: Lesson | None = None

    def precision(self, network: Any) -> str:
        """What the recipe's precision resolves to for this network on this device."""
        return precisions.chosen(self.recipe.precision, self.device, network)

    @property
    def guess(self) -> float:
        """The loss of a uniform guess among the tokens of the longest window, in nats."""
        return math.log(int(self.windows.lengths.max())) * (self.lesson.guess if self.lesson else 1)

    def conditions(self, network: Any) -> dict[str, Condition]:
        """The flat recipe with the resolved precision, whether `auto` chose it, and the network's dropout."""
        own: dict[str, Condition] = {
            "precision": self.precision(network),
            "precision_chosen": self.recipe.precision == "auto",
            "dropout": dropout(network),
        }
        if self.lesson:
            own |= {"distillation_weight": self.lesson.weight, "distillation_temperature": self.lesson.temperature}
            own["teacher"] = self.lesson.teacher
        return self.recipe.model_dump() | own

    def check(self, network: Any) -> None:
        """Refuse processes that cannot share the updates or have too few GPUs, and windows too long for the network."""
        processes, batch_size = self.processes, self.recipe.batch_size
        if processes < 1 or batch_size % processes:
            raise StudyError(
                f"training.processes: {processes} processes cannot share a batch_size of {batch_size} evenly; "
                "give a number that divides it (NPROC=... on make's command line overrides the study's)"
            )
        on_gpus_here = self.device.type == "cuda" and not os.environ.get(LAUNCHER)
        if on_gpus_here and processes > (count := torch.cuda.device_count()):
            raise StudyError(
                f"training.processes: {processes} processes need as many GPUs, but torch sees {count} here"
            )
        for windows in filter(None, (self.windows, self.held_out)):
            inputs.of(network).check_windows(int(windows.lengths.max()))
        check_recipe(network, self.recipe)


def check_recipe(network: Any, recipe: Training) -> None:
    """Refuse a recipe that this network or this environment does not support."""
    kind, (_, n_layers) = type(network).__name__, layers.levels(network)
    if recipe.freeze_layers > n_layers:
        raise StudyError(f"training.freeze_layers: is {recipe.freeze_layers}, but {kind} has {n_layers} layers")
    if recipe.gradient_checkpointing and not network.supports_gradient_checkpointing:
        raise StudyError(f"training.gradient_checkpointing: {kind} does not support it; remove the key")
    if recipe.report_to == "tensorboard" and not is_tensorboard_available():
        raise StudyError(
            "training.report_to: tensorboard is not installed; `pip install tensorboard`, or remove the key"
        )


def prepare(network: Any, recipe: Training) -> None:
    """Apply the parts of a recipe that change the network: dropout, freezing, gradient checkpointing."""
    set_dropout(network, recipe.dropout)
    layers.freeze(network, recipe.freeze_embeddings, recipe.freeze_layers)
    if recipe.gradient_checkpointing and not network.is_activation_checkpointing:
        network.activation_checkpointing_enable()


@dataclass(frozen=True)
class Fitted:
    """The cost of a training and the history of its loss.

    ``history``: one dict per logged step, the last step included: step, epoch, loss (mean since the previous row),
    learning_rate, grad_norm.
    ``seconds``: wall-clock time from the first update to the last, checkpoints included, summed over resumed attempts;
    building the model is not included.
    ``tokens``: tokens without padding; ``padded_tokens``: tokens with padding, both over all epochs.
    ``resumed_at``: the step at which this attempt started, 0 for the first.
    ``processes``: how many shared the updates, on this many ``devices``: GPUs, or machines for CPU training.
    ``best``: with early stopping, the step whose weights were kept and their loss on the held-out windows.
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
    best: tuple[int, float] | None = None

    def records(self) -> list[Record]:
        """The cost as records; a window is a question with one part of its passage, and tokens exclude padding."""
        conditions = {"processes": self.processes, "devices": self.devices}
        held_out = (
            [("best_step", self.best[0], "updates"), ("held_out_loss", self.best[1], "nats")] if self.best else []
        )
        return [
            Record.of(f"train_{metric}", value, unit, self.steps, conditions=conditions)
            for metric, value, unit in (
                *held_out,
                ("seconds", self.seconds, "s"),
                ("steps", self.steps, "updates"),
                ("windows", self.windows, "windows"),
                ("windows_per_second", self.windows / self.seconds, "windows/s"),
                ("tokens_per_second", self.tokens / self.seconds, "tokens/s"),
                ("padding_share", self._padding_share, "1"),
                ("final_loss", self.history[-1]["loss"], "nats"),
            )
        ]

    def summary(self) -> dict[str, str]:
        """The cost, for a reader."""
        facts = {
            "updates": f"{self.steps:,}" + (f", resumed at {self.resumed_at:,}" if self.resumed_at else ""),
            "seconds": f"{self.seconds:.1f}",
            "windows per second": f"{self.windows / self.seconds:.1f}",
            "tokens per second": f"{self.tokens / self.seconds:,.0f}",
            "share of padding": f"{100 * self._padding_share:.1f} %",
        }
        if self.best:
            facts["weights kept"] = f"of update {self.best[0]:,}, with a held-out loss of {self.best[1]:.3f} nats"
        if self.processes > 1:
            facts["processes"] = f"{self.processes} on {counted(self.devices, 'device')}"
        return facts

    @property
    def _padding_share(self) -> float:
        """Share of the computed tokens that were padding."""
        return 1 - self.tokens / self.padded_tokens

    def loss_table(self, n_rows: int = 12) -> pd.DataFrame:
        """Step, epoch and loss of about ``n_rows`` rows of the history, including the last."""
        every = math.ceil(len(self.history) / n_rows)
        return pd.DataFrame(self.history[::-every][::-1])[["step", "epoch", "loss"]]

    def write_history(self, path: Path) -> None:
        """The loss history as parquet: step, epoch, loss, learning_rate and gradient norm."""
        with written_atomically(path) as temporary:
            # A resumed history has its keys sorted.
            pd.DataFrame(self.history).sort_index(axis=1).to_parquet(temporary, write_page_checksum=True)
