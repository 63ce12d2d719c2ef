"""What a training cost and how its loss fell: as records, as tables for a reader, and as a file."""

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.core.words import counted
from qa_tradeoffs.metrics.records import Record


@dataclass(frozen=True)
class Fitted:
    """The result of a training beside its weights.

    ``history``: one dict per logged step, the last step included: step, epoch, loss (mean since the row before, nats),
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
        """Windows per second of training; a window is one question over one part of its passage."""
        return self.windows / self.seconds

    @property
    def padding_share(self) -> float:
        """Share of the tokens computed on that were padding."""
        return 1 - self.tokens / self.padded_tokens

    def records(self) -> list[Record]:
        """What the training cost; ``n`` is the number of updates."""
        conditions = {"processes": self.processes, "devices": self.devices}
        return [
            Record.of(f"train_{name}", value, unit, self.steps, conditions=conditions)
            for name, value, unit in (
                ("seconds", self.seconds, "s"),
                ("steps", self.steps, "updates"),
                ("windows", self.windows, "windows"),
                ("windows_per_second", self.windows_per_second, "windows/s"),
                ("tokens_per_second", self.tokens_per_second, "tokens/s"),
                ("padding_share", self.padding_share, "1"),
                ("final_loss", self.history[-1]["loss"], "nats"),
            )
        ]

    def summary(self) -> dict[str, str]:
        """What the training cost, for a reader."""
        resumed = f", resumed at {self.resumed_at:,}" if self.resumed_at else ""
        facts = {
            "updates": f"{self.steps:,}{resumed}",
            "seconds": f"{self.seconds:.1f}",
            "windows per second": f"{self.windows_per_second:.1f}",
            "tokens per second": f"{self.tokens_per_second:,.0f}",
            "share of padding": f"{100 * self.padding_share:.1f} %",
        }
        if self.processes > 1:
            facts["processes"] = f"{self.processes} on {counted(self.devices, 'device')}"
        return facts

    def loss_table(self, n_rows: int = 12) -> pd.DataFrame:
        """Step, epoch and loss of about ``n_rows`` rows of the history, the last included."""
        every = math.ceil(len(self.history) / n_rows)
        return pd.DataFrame(self.history[::-every][::-1])[["step", "epoch", "loss"]]

    def write_history(self, path: Path) -> None:
        """The loss history as parquet: step, epoch, loss, learning rate and gradient norm."""
        with written_atomically(path) as temporary:
            # The rows of a resumed history come back with their keys sorted.
            pd.DataFrame(self.history).sort_index(axis=1).to_parquet(temporary, write_page_checksum=True)
