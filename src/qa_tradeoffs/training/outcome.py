"""What came of a fine-tuning: as records, as tables for a reader, and the loss history as a file."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.core.words import counted
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import devices
from qa_tradeoffs.models.dropout_rates import dropout
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training.setup import Fitted


def records(fitted: Fitted) -> list[Record]:
    """What a training cost."""
    conditions = {"processes": fitted.processes, "devices": fitted.devices}
    return [
        Record.of(metric, value, unit, fitted.steps, conditions=conditions)
        for metric, value, unit in (
            ("train_seconds", fitted.seconds, "s"),
            ("train_steps", fitted.steps, "updates"),
            ("train_windows", fitted.windows, "windows"),
            ("train_windows_per_second", fitted.windows_per_second, "windows/s"),
            ("train_tokens_per_second", fitted.tokens_per_second, "tokens/s"),
            ("train_padding_share", fitted.padding_share, "1"),
            ("train_final_loss", fitted.history[-1]["loss"], "nats"),
        )
    ]


def conditions(recipe: Training, device: torch.device, network: Any) -> dict[str, str | int | float | None]:
    """The recipe, flat, with the precision that it came down to on this device, and the network's highest dropout."""
    came_to = {"precision": devices.precision(recipe.precision, device), "dropout": dropout(network)}
    return recipe.model_dump() | came_to


def summary(fitted: Fitted) -> dict[str, str]:
    """What a training cost, for a reader."""
    facts = {
        "updates": f"{fitted.steps:,}" + (f", resumed at {fitted.resumed_at:,}" if fitted.resumed_at else ""),
        "seconds": f"{fitted.seconds:.1f}",
        "windows per second": f"{fitted.windows_per_second:.1f}",
        "tokens per second": f"{fitted.tokens_per_second:,.0f}",
        "share of padding": f"{100 * fitted.padding_share:.1f} %",
    }
    if fitted.processes > 1:
        facts["processes"] = f"{fitted.processes} on {counted(fitted.devices, 'device')}"
    return facts


def loss_table(fitted: Fitted, n_rows: int = 12) -> pd.DataFrame:
    """Step, epoch and loss of about ``n_rows`` rows of the history, the last included."""
    every = math.ceil(len(fitted.history) / n_rows)
    return pd.DataFrame(fitted.history[::-every][::-1])[["step", "epoch", "loss"]]


def write_history(fitted: Fitted, path: Path) -> None:
    """The loss history as parquet: step, epoch, loss, learning_rate and gradient norm."""
    with written_atomically(path) as temporary:
        # The rows of a resumed history come back with their keys sorted.
        pd.DataFrame(fitted.history).sort_index(axis=1).to_parquet(temporary, write_page_checksum=True)
