"""Fine-tune with transformers' Trainer: seeded, resumable, with the loss history and the time it really took."""

import json
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from qa_tradeoffs import device as devices
from qa_tradeoffs.config import Training
from qa_tradeoffs.dropout import fast_masks
from qa_tradeoffs.errors import StudyError
from qa_tradeoffs.features import Windows, pad
from qa_tradeoffs.models import accepted_inputs, set_dropout
from qa_tradeoffs.paths import enough_disk_for, write_text, written_atomically
from qa_tradeoffs.processes import locked
from qa_tradeoffs.progress import Progress

_MARKER = "elapsed.json"
_BATCHES_SORTED_TOGETHER = 50  # enough that a batch's windows differ by a few tokens only
_STEPS_BETWEEN_LOSS_CHECKS = 10  # a broken loss stays broken; on a GPU every look at it waits for the device
# A blind guess costs log(tokens of a window) nats, and a network that only learns to be unsure comes down to that. A
# report is the mean over 2 % of the updates: one that is twice as bad may be a rough start, three in a row are not.
_TIMES_A_GUESS, _ROWS_UNTIL_DIVERGED = 2, 3


@dataclass(frozen=True)
class Fitted:
    """What a training cost and how its loss fell.

    ``history``: one dict per logged step, the last step included: step, epoch, loss (mean since the row before),
    learning_rate, grad_norm.
    ``seconds``: wall-clock from the first update to the last, with the checkpoints written between them, summed over
    attempts when it was resumed; model building is not in it.
    ``tokens``: tokens that are not padding, ``padded_tokens``: tokens that were computed on, over all epochs.
    ``resumed_at``: the step at which this attempt began, 0 where it was the first.
    """

    history: list[dict[str, float]]
    steps: int
    windows: int
    seconds: float
    tokens: int
    padded_tokens: int
    resumed_at: int

    @property
    def tokens_per_second(self) -> float:
        """Tokens that are not padding, per second of training."""
        return self.tokens / self.seconds

    @property
    def windows_per_second(self) -> float:
        """Windows seen per second of training; a window is one question over one part of its passage."""
        return self.windows / self.seconds


def fit(
    network: Any,
    windows: Windows,
    recipe: Training,
    *,
    pad_token_id: int,
    seed: int,
    device: torch.device,
    workspace: Path,
    inputs: str,
) -> Fitted:
    """Train ``network`` in place and return what it cost.

    ``workspace`` holds the checkpoint to resume from, written every ``recipe.save_minutes``, and is to be removed once
    the result is saved. ``inputs`` is a digest of all that the result depends on: a checkpoint of other inputs is
    not resumed from. Raises StudyError when the loss is no longer a number, windows are too long for the network,
    memory or the disk are full, or another process trains in the same workspace.
    """
    _check_length(network, windows)
    set_dropout(network, recipe.dropout)
    order = LengthGrouped(windows.lengths, recipe.batch_size, seed)
    collator = _Collator(windows, pad_token_id, device, accepted_inputs(network))
    recorder = _Recorder(recipe.save_minutes * 60, int(windows.lengths.max()))
    trainer = _Trainer(
        model=network,
        args=_arguments(recipe, seed, device, workspace),
        train_dataset=_Rows(len(windows.lengths)),
        data_collator=collator,
        callbacks=[recorder],
        order=order,
    )
    trainer.remove_callback(transformers.PrinterCallback)
    recorder.trainer = trainer
    with (
        locked(workspace.with_name(f".{workspace.name}.lock"), str(workspace)),
        enough_disk_for(workspace),
        devices.enough_memory(otherwise=recipe.too_large),
        fast_masks(recipe.fast_dropout),
    ):
        _keep_only_if_same(workspace, inputs)
        trainer.train(resume_from_checkpoint=_last_complete_checkpoint(workspace))
    _check_weights(network)
    steps = trainer.state.global_step
    n_windows, tokens, padded = _count(windows.lengths, order, steps, recipe.batch_size, collator.multiple_of)
    return Fitted(
        history=[row for row in trainer.state.log_history if "loss" in row],
        steps=steps,
        windows=n_windows,
        seconds=recorder.seconds,
        tokens=tokens,
        padded_tokens=padded,
        resumed_at=recorder.resumed_at,
    )


def rows(fitted: Fitted) -> list[dict[str, Any]]:
    """Record rows of what a training cost."""
    common = {"n": fitted.steps}
    return [
        {"metric": "train_seconds", "value": fitted.seconds, "unit": "s", **common},
        {"metric": "train_steps", "value": fitted.steps, "unit": "updates", **common},
        {"metric": "train_windows", "value": fitted.windows, "unit": "windows", **common},
        {"metric": "train_windows_per_second", "value": fitted.windows_per_second, "unit": "windows/s", **common},
        {"metric": "train_tokens_per_second", "value": fitted.tokens_per_second, "unit": "tokens/s", **common},
        {"metric": "train_padding_share", "value": 1 - fitted.tokens / fitted.padded_tokens, "unit": "1", **common},
        {"metric": "train_final_loss", "value": fitted.history[-1]["loss"], "unit": "nats", **common},
    ]


def conditions(recipe: Training, device: torch.device) -> dict[str, str | int | float | None]:
    """The recipe, flat, and the precision that it came down to on this device."""
    return recipe.model_dump() | {"precision": devices.precision(recipe.precision, device)}


def summary(fitted: Fitted) -> dict[str, str]:
    """What a training cost, for a reader."""
    return {
        "updates": f"{fitted.steps:,}" + (f", resumed at {fitted.resumed_at:,}" if fitted.resumed_at else ""),
        "seconds": f"{fitted.seconds:.1f}",
        "windows per second": f"{fitted.windows_per_second:.1f}",
        "tokens per second": f"{fitted.tokens_per_second:,.0f}",
        "share of padding": f"{1 - fitted.tokens / fitted.padded_tokens:.1%}",
    }


def loss_table(fitted: Fitted, n_rows: int = 12) -> pd.DataFrame:
    """Step, epoch and loss of about ``n_rows`` rows of the history, the last included."""
    every = math.ceil(len(fitted.history) / n_rows)
    return pd.DataFrame(fitted.history[::-every][::-1])[["step", "epoch", "loss"]]


def write_history(fitted: Fitted, path: Path) -> None:
    """The loss history as parquet: step, epoch, loss, learning_rate and gradient norm."""
    with written_atomically(path) as temporary:
        # The rows of a resumed history come back with their keys sorted.
        pd.DataFrame(fitted.history).sort_index(axis=1).to_parquet(temporary, write_page_checksum=True)


class LengthGrouped(Sampler[int]):
    """Rows in random order with rows of like length side by side, so that a batch needs little padding.

    Rows are sorted by length within large random parts, cut into batches, and the batches shuffled: in the order of
    their lengths, as transformers' own sampler leaves them, an epoch would end on short ones, and train worse.
    The order depends on ``seed`` and the epoch alone, not on how many random numbers were drawn before: a resumed
    training sees the rest of the epoch in the order in which it would have come.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size, self._seed, self._epoch = batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer as each epoch begins, and when it skips to where it stopped."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self._seed, self._epoch))
        rows = rng.permutation(len(self))
        size = self._batch_size * _BATCHES_SORTED_TOGETHER
        parts = [rows[first : first + size] for first in range(0, len(rows), size)]
        rows = np.concatenate([part[np.argsort(self._lengths[part], kind="stable")] for part in parts])
        whole = len(rows) // self._batch_size * self._batch_size
        batches = rng.permutation(rows[:whole].reshape(-1, self._batch_size))  # what is no whole batch stays last
        return iter([*batches.ravel().tolist(), *rows[whole:].tolist()])


class _Trainer(Trainer):  # type: ignore[misc]
    """transformers' Trainer with our order of rows, and an eye on the loss."""

    def __init__(self, *, order: LengthGrouped, **settings: Any) -> None:
        super().__init__(**settings)
        self._order = order

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGrouped:
        return self._order

    def training_step(self, *arguments: Any, **settings: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*arguments, **settings)
        if self.state.global_step % _STEPS_BETWEEN_LOSS_CHECKS == 0:
            _check_loss(float(loss), self.state.global_step)
        return loss


class _Rows(Dataset[int]):
    """Row numbers; the collator turns a batch of them into tensors at once."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> int:
        return row


class _Collator:
    """Row numbers → a padded batch with labels."""

    def __init__(self, windows: Windows, pad_token_id: int, device: torch.device, accepted: set[str]) -> None:
        self._windows, self._pad_token_id, self._accepted = windows, pad_token_id, accepted
        self.multiple_of = 8 if device.type == "cuda" else 1  # tensor cores want multiples of 8

    def __call__(self, rows: list[int]) -> dict[str, torch.Tensor]:
        batch = pad(self._windows, np.asarray(rows), self._pad_token_id, multiple_of=self.multiple_of)
        batch = {name: values for name, values in batch.items() if name in self._accepted}
        batch["start_positions"] = self._windows.start_labels[rows]
        batch["end_positions"] = self._windows.end_labels[rows]
        return {name: torch.from_numpy(values) for name, values in batch.items()}


class _Recorder(TrainerCallback):  # type: ignore[misc]
    """Keeps time, has a checkpoint written every so often, shows progress, and stops at a loss that went bad."""

    def __init__(self, seconds_between_saves: float, longest: int) -> None:
        self._between = seconds_between_saves
        self._worst, self._worse = _TIMES_A_GUESS * math.log(longest), 0
        self.trainer: Any = None
        self._before = 0.0
        self._began = self._saved = time.monotonic()
        self._ended: float | None = None
        self.resumed_at = 0

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those of interrupted attempts up to their last checkpoint included."""
        return self._before + (self._ended or time.monotonic()) - self._began

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.resumed_at = state.global_step
        if self.resumed_at:
            marker = json.loads((_checkpoint(args, state) / _MARKER).read_bytes())
            self._before = marker["seconds"]
            # The Trainer would forget the losses since the last row of the history, and rows would depend on the clock.
            self.trainer._tr_loss += marker["loss_since_row"]
            self.trainer._globalstep_last_logged = marker["last_row"]
        self._progress = Progress("training step", state.max_steps)
        self._began = self._saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._progress.update(state.global_step)
        at_end = state.global_step == state.max_steps
        control.should_save = not at_end and time.monotonic() - self._saved > self._between
        control.should_log |= at_end  # the mean since the last row would be lost unless its step is a round one

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the new checkpoint as complete, and only then remove the others."""
        self._saved = time.monotonic()
        complete = _checkpoint(args, state)
        since_row = {"loss_since_row": float(self.trainer._tr_loss), "last_row": self.trainer._globalstep_last_logged}
        write_text(complete / _MARKER, json.dumps({"seconds": self.seconds, **since_row}))
        for other in complete.parent.glob("checkpoint-*"):
            if other != complete:
                shutil.rmtree(other, ignore_errors=True)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" in logs:
            _check_loss(logs["loss"], state.global_step)
            self._worse = self._worse + 1 if logs["loss"] > self._worst else 0
            if self._worse == _ROWS_UNTIL_DIVERGED:
                raise StudyError(
                    f"training.learning_rate: the training diverged: up to update {state.global_step} the loss was "
                    f"{logs['loss']:.3g} nats, {_TIMES_A_GUESS} times that of a guess or more, {_ROWS_UNTIL_DIVERGED} "
                    "reports in a row; try a lower rate, or some warmup_ratio"
                )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        devices.synchronize(args.device)
        self._ended = time.monotonic()


def _checkpoint(args: Any, state: Any) -> Path:
    """The checkpoint folder of the step at hand, as the Trainer names it."""
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"


def _last_complete_checkpoint(workspace: Path) -> str | None:
    """The newest checkpoint that was marked as complete; one that a crash left half-written is passed over."""
    complete = [marker.parent for marker in workspace.glob(f"checkpoint-*/{_MARKER}")]
    return str(max(complete, key=lambda folder: int(folder.name.split("-")[1]))) if complete else None


def _check_loss(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise StudyError(
            f"training.learning_rate: the loss is no longer a number ({loss}) after {step} updates; "
            "try a lower rate, or some warmup_ratio"
        )


def _check_weights(network: Any) -> None:
    """Refuse weights that the very last update broke: no loss was computed with them."""
    if not all(bool(weight.isfinite().all()) for weight in network.parameters()):
        raise StudyError(
            "training.learning_rate: after the last update the weights are no longer numbers; "
            "try a lower rate, or some warmup_ratio"
        )


def _check_length(network: Any, windows: Windows) -> None:
    longest, limit = int(windows.lengths.max()), getattr(network.config, "max_position_embeddings", math.inf)
    if longest > limit:
        raise StudyError(
            f"training.max_length: windows of {longest} tokens, but the network takes {limit} (its config's "
            "max_position_embeddings); give a max_length up to that"
        )


def _arguments(recipe: Training, seed: int, device: torch.device, workspace: Path) -> TrainingArguments:
    """The recipe in the Trainer's words."""
    arguments = TrainingArguments(
        output_dir=str(workspace),
        per_device_train_batch_size=recipe.batch_size,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_ratio,  # below 1 it is a share of all steps
        lr_scheduler_type="linear",
        bf16=devices.precision(recipe.precision, device) == "bf16",
        use_cpu=device.type == "cpu",
        seed=seed,
        save_strategy="no",  # the recorder saves by the clock
        logging_steps=0.02,  # likewise a share
        logging_nan_inf_filter=False,  # its default would hide a loss that went bad
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=device.type == "cuda",
        remove_unused_columns=False,
    )
    # Where a process sees several GPUs, the Trainer would multiply the batch by their number; the recipe says its size.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _keep_only_if_same(workspace: Path, inputs: str) -> None:
    """Empty the workspace unless its checkpoints belong to these inputs."""
    marker = workspace / "inputs"
    if marker.is_file() and marker.read_text() == inputs:
        return
    shutil.rmtree(workspace, ignore_errors=True)
    write_text(marker, inputs)


def _count(
    lengths: NDArray[np.int64], order: LengthGrouped, steps: int, batch_size: int, multiple_of: int
) -> tuple[int, int, int]:
    """(windows, tokens, tokens with padding) in the first ``steps`` updates."""
    windows = tokens = padded = 0
    for rows in islice(_batches(order, batch_size), steps):
        batch = lengths[rows]
        windows += len(batch)
        tokens += int(batch.sum())
        padded += -(-int(batch.max()) // multiple_of) * multiple_of * len(batch)
    return windows, tokens, padded


def _batches(order: LengthGrouped, batch_size: int) -> Iterator[list[int]]:
    """The rows of each update, epoch after epoch without end."""
    for epoch in count():
        order.set_epoch(epoch)
        rows = list(order)
        yield from (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
