"""Fine-tuning by both recipes through transformers' Trainer: the same questions, updates and rates.

Both draw as many windows at random for each update, every window once per epoch. The plain recipe pads them to one
length; ours computes them in parts of like length. The plain recipe's loss counts padding among the candidates; what is
compared is the loss over a window's own tokens, on both sides.
"""

import copy
import itertools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from transformers import PrinterCallback, Trainer, TrainingArguments

from benchmarks import inputs, plain
from benchmarks.comparison import CPU, check
from qa_tradeoffs.data import features
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.study import config
from qa_tradeoffs.training import collation, fine_tuning
from qa_tradeoffs.training.setup import Setup

# From random weights, so with a higher rate than a published checkpoint is given.
RECIPE = config.Training(epochs=1, batch_size=16, learning_rate=1e-3, warmup_ratio=0.1, precision="fp32")
SHAPE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256}


@dataclass(frozen=True)
class Learned:
    """One training: ``step`` and ``loss`` (n,), mean of the updates since the row before, and ``seconds`` in all."""

    step: list[int]
    loss: list[float]
    seconds: float


def by_plain(
    network: Any, columns: dict[str, list[Any]], recipe: config.Training, seed: int, device: torch.device = CPU,
    max_steps: int = -1,
) -> Learned:  # fmt: skip
    """The plain recipe's windows (``plain.training_features``) with the Trainer's own order, padding and collator."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=recipe.batch_size,
            num_train_epochs=recipe.epochs,
            max_steps=max_steps,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            warmup_steps=recipe.warmup_ratio,
            logging_steps=0.02,
            save_strategy="no",
            seed=seed,
            use_cpu=device.type == "cpu",
            disable_tqdm=True,
            report_to="none",
        )
        arguments._n_gpu = min(arguments.n_gpu, 1)
        trainer = _Watched(
            model=network, args=arguments, train_dataset=Dataset.from_dict(columns), data_collator=plain.collate
        )
        trainer.remove_callback(PrinterCallback)
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
    steps = [int(row["step"]) for row in trainer.state.log_history if "loss" in row]
    since = [trainer.losses[begin:end] for begin, end in itertools.pairwise([0, *steps])]
    return Learned(steps, [float(np.mean(losses)) for losses in since], seconds)


class _Watched(Trainer):  # type: ignore[misc]
    """The Trainer as it is, and beside its own loss the one that is compared."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.losses: list[float] = []

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], *_: Any, **__: Any) -> torch.Tensor:
        output = model(**inputs)
        own: torch.Tensor = output.loss
        self.losses.append(_own_tokens_loss(output, inputs))
        return own


def by_ours(
    network: Any, windows: Windows, recipe: config.Training, seed: int, pad_token_id: int, device: torch.device = CPU
) -> Learned:
    """The study's own training."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        setup = Setup(windows, recipe, pad_token_id, seed, device, Path(folder) / "unfinished", inputs="")
        fitted = fine_tuning.fit(network, setup)
        seconds = time.perf_counter() - began
    return Learned([int(row["step"]) for row in fitted.history], [row["loss"] for row in fitted.history], seconds)


def curves(
    examples: Sequence[Example], held_out: Sequence[Example], tokenizer: Any, seeds: Sequence[int] = range(5)
) -> list[Record]:
    """Both recipes' loss by update and seed, and afterwards on ``held_out``, for which both are alike."""
    windows, columns = features.build(examples, tokenizer), plain.training_features(examples, tokenizer)
    asked, records = plain.training_features(held_out, tokenizer), []
    for seed in seeds:
        first = inputs.encoder(len(tokenizer), seed, SHAPE)
        networks = {"plain": first, "ours": copy.deepcopy(first)}
        learned = {
            "plain": by_plain(networks["plain"], columns, RECIPE, seed),
            "ours": by_ours(networks["ours"], windows, RECIPE, seed, tokenizer.pad_token_id),
        }
        check(learned["plain"].step[-1] == learned["ours"].step[-1], "the recipes differ in their number of updates")
        for side, found in learned.items():
            common = {"piece": "learning", "side": side, "seed": seed, "windows": len(windows.lengths)}
            records += [
                Record.of("learning_loss", value, "nats", conditions={**common, "step": step})
                for step, value in zip(found.step, found.loss, strict=True)
            ]
            held_out_loss = loss_of(networks[side], asked)
            records += [
                Record.of("learning_seconds", found.seconds, "s", conditions=common),
                Record.of("learning_held_out_loss", held_out_loss, "nats", conditions=common),
            ]
    return records


def loss_of(network: Any, columns: dict[str, list[Any]], batch_size: int = 32) -> float:
    """Mean loss of windows (``plain.training_features``), whoever trained the network."""
    network.eval()
    total, n = 0.0, len(columns["input_ids"])
    for first in range(0, n, batch_size):
        batch = {name: torch.tensor(column[first : first + batch_size]) for name, column in columns.items()}
        with torch.no_grad():
            total += _own_tokens_loss(network(**batch), batch) * len(batch["input_ids"])
    return total / n


def _own_tokens_loss(output: Any, batch: dict[str, torch.Tensor]) -> float:
    return collation.span_loss(output, batch["attention_mask"], *(batch[name] for name in collation.LABELS)).item()


def summary(records: Sequence[Record]) -> str:
    """Held-out loss and seconds of both sides, mean and range over seeds."""
    lines = ["learning: loss on questions held out, and seconds, by seed"]
    for side in ("plain", "ours"):
        loss, seconds = (_values(records, metric, side) for metric in ("learning_held_out_loss", "learning_seconds"))
        lines.append(
            f"  {side}: {loss.mean():.3f} nats ({loss.min():.3f} to {loss.max():.3f} in {len(loss)} seeds), "
            f"{np.median(seconds):.3g} s"
        )
    return "\n".join(lines)


def _values(records: Sequence[Record], metric: str, side: str) -> NDArray[np.float64]:
    return np.array([r.value for r in records if r.metric == metric and r.conditions["side"] == side])
