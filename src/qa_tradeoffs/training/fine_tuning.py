"""Fine-tune with transformers' Trainer: seeded, resumable, with the loss history and the time it really took."""

import json
import math
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from accelerate.data_loader import prepare_data_loader
from accelerate.utils import broadcast, gather, gather_object
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import enough_disk_for, write_text, written_atomically
from qa_tradeoffs.core.locks import locked
from qa_tradeoffs.core.progress import Progress
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.models import devices
from qa_tradeoffs.models.dropout import fast_masks
from qa_tradeoffs.models.networks import set_dropout
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training import collation

_MARKER = "elapsed.json"
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
    with held(workspace, inputs):
        return train(network, windows, recipe, pad_token_id=pad_token_id, seed=seed, device=device, workspace=workspace)


@contextmanager
def held(workspace: Path, inputs: str) -> Iterator[None]:
    """Keep others out of the workspace while the block runs; checkpoints of other ``inputs`` are removed from it."""
    with locked(workspace.with_name(f".{workspace.name}.lock"), str(workspace)), enough_disk_for(workspace):
        _keep_only_if_same(workspace, inputs)
        yield


def train(
    network: Any,
    windows: Windows,
    recipe: Training,
    *,
    pad_token_id: int,
    seed: int,
    device: torch.device,
    workspace: Path,
) -> Fitted:
    """``fit`` in a workspace that is ``held``, also as one of several processes that accelerate has started.

    Each process computes its share of every update, and all of them come to the same weights. The first one keeps time
    and writes checkpoints.
    """
    _check_length(network, windows)
    set_dropout(network, recipe.dropout)
    order = collation.Shuffled(len(windows.lengths), seed)
    arguments = _arguments(recipe, seed, device, workspace)
    collator = replace(
        collation.collator_for(network, windows, pad_token_id, device),
        rank=arguments.process_index, processes=arguments.world_size,
    )  # fmt: skip
    recorder = _Recorder(recipe.save_minutes * 60, int(windows.lengths.max()))
    trainer = _Trainer(
        model=network,
        args=arguments,
        train_dataset=_Rows(len(windows.lengths)),
        data_collator=collator,
        callbacks=[recorder],
        order=order,
    )
    trainer.remove_callback(transformers.PrinterCallback)
    recorder.trainer = trainer
    with (
        enough_disk_for(workspace),
        devices.enough_memory(otherwise=recipe.too_large),
        fast_masks(recipe.fast_dropout),
    ):
        trainer.train(resume_from_checkpoint=_last_complete_checkpoint(workspace))
    _check_weights(network)
    steps = trainer.state.global_step
    n_windows, tokens, padded = _count(windows.lengths, order, steps, recipe.batch_size, collator)
    return Fitted(
        history=[row for row in trainer.state.log_history if "loss" in row],
        steps=steps,
        windows=n_windows,
        seconds=recorder.seconds,
        tokens=tokens,
        padded_tokens=padded,
        resumed_at=recorder.resumed_at,
        processes=arguments.world_size,
        devices=_devices(arguments.device),
    )


def rows(fitted: Fitted) -> list[dict[str, Any]]:
    """Record rows of what a training cost."""
    common = {"n": fitted.steps, "conditions": {"processes": fitted.processes, "devices": fitted.devices}}
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
    shown = {
        "updates": f"{fitted.steps:,}" + (f", resumed at {fitted.resumed_at:,}" if fitted.resumed_at else ""),
        "seconds": f"{fitted.seconds:.1f}",
        "windows per second": f"{fitted.windows_per_second:.1f}",
        "tokens per second": f"{fitted.tokens_per_second:,.0f}",
        "share of padding": f"{100 * (1 - fitted.tokens / fitted.padded_tokens):.1f} %",
    }
    if fitted.processes > 1:
        shown["processes"] = f"{fitted.processes} on {fitted.devices} device{'s' * (fitted.devices > 1)}"
    return shown


def loss_table(fitted: Fitted, n_rows: int = 12) -> pd.DataFrame:
    """Step, epoch and loss of about ``n_rows`` rows of the history, the last included."""
    every = math.ceil(len(fitted.history) / n_rows)
    return pd.DataFrame(fitted.history[::-every][::-1])[["step", "epoch", "loss"]]


def write_history(fitted: Fitted, path: Path) -> None:
    """The loss history as parquet: step, epoch, loss, learning_rate and gradient norm."""
    with written_atomically(path) as temporary:
        # The rows of a resumed history come back with their keys sorted.
        pd.DataFrame(fitted.history).sort_index(axis=1).to_parquet(temporary, write_page_checksum=True)


class _Trainer(Trainer):  # type: ignore[misc]
    """transformers' Trainer with our order of rows, updates computed in parts, and an eye on the loss."""

    def __init__(self, *, order: collation.Shuffled, **settings: Any) -> None:
        super().__init__(**settings)
        self._order = order

    def get_train_dataloader(self) -> Any:
        """Every process is given every update whole; the collator knows which of its rows are this process's."""
        updates: DataLoader[int] = DataLoader(
            self.train_dataset,
            batch_size=self.args.train_batch_size * self.args.world_size,
            sampler=self._order,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return prepare_data_loader(updates, self.args.device, num_processes=1, process_index=0, put_on_device=True)

    def training_step(self, model: Any, inputs: dict[str, Any], *_: Any) -> torch.Tensor:
        """The mean loss of an update; the gradients of its parts add up to that of the mean."""
        *others, last = inputs["parts"]
        with self.accelerator.no_sync(model):  # the last part's gradients take those of the others along
            losses = [super(_Trainer, self).training_step(model, part) for part in others]
        loss: torch.Tensor = torch.stack([*losses, super().training_step(model, last)]).sum()
        if self.state.global_step % _STEPS_BETWEEN_LOSS_CHECKS == 0:
            _check_loss(float(loss), self.state.global_step)
        return loss

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> torch.Tensor:
        """A part's contribution to the mean loss of its update."""
        share, labels = inputs.pop("share"), [inputs.pop(name) for name in collation.LABELS]
        loss: torch.Tensor = share * collation.span_loss(model(**inputs), inputs["attention_mask"], *labels)
        return loss

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # the Trainer would look for the inputs of a batch in one piece; we count by formula


class _Rows(Dataset[int]):
    """Row numbers; the collator turns a batch of them into tensors at once."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> int:
        return row


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
            self.trainer._tr_loss += marker["losses_since_row"][args.process_index]
            self.trainer._globalstep_last_logged = marker["last_row"]
        elif args.process_index:  # dropout masks of its own; where it goes on, the Trainer has its generator's state
            torch.manual_seed(int(np.random.SeedSequence((args.seed, args.process_index)).generate_state(1)[0]))
        self._progress = Progress("training step", state.max_steps)
        self._began = self._saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._progress.update(state.global_step)
        at_end = state.global_step == state.max_steps
        control.should_save = not at_end and self._is_due(args, state)
        control.should_log |= at_end  # the mean since the last row would be lost unless its step is a round one

    def _is_due(self, args: Any, state: Any) -> bool:
        """Whether it is time for a checkpoint; of several processes the first one's clock decides."""
        due = time.monotonic() - self._saved > self._between
        if args.world_size == 1:
            return due
        if state.global_step % _STEPS_BETWEEN_LOSS_CHECKS:  # GPUs would have to wait for the answer
            return False
        return bool(broadcast(torch.tensor(int(due), device=args.device)))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the new checkpoint as complete, and only then remove the others."""
        self._saved = time.monotonic()
        complete = _checkpoint(args, state)
        losses = gather(self.trainer._tr_loss)  # once each process has written its generator's state
        if args.process_index:
            return
        since_row = {
            "losses_since_row": losses.reshape(-1).tolist(), "last_row": self.trainer._globalstep_last_logged
        }  # fmt: skip
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
    processes = int(os.environ.get("WORLD_SIZE", 1))
    arguments = TrainingArguments(
        output_dir=str(workspace),
        per_device_train_batch_size=recipe.batch_size // processes,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_ratio,  # below 1 it is a share of all steps
        lr_scheduler_type="linear",
        bf16=devices.precision(recipe.precision, device) == "bf16",
        use_cpu=device.type == "cpu",
        ddp_backend="gloo" if device.type == "cpu" and processes > 1 else None,
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


def _devices(own: torch.device) -> int:
    """On how many devices the processes are; several on the processor of one machine have one of them."""
    of_each: list[str] = gather_object([f"{socket.gethostname()} {own}"])
    return len(set(of_each))


def _keep_only_if_same(workspace: Path, inputs: str) -> None:
    """Empty the workspace unless its checkpoints belong to these inputs."""
    marker = workspace / "inputs"
    if marker.is_file() and marker.read_text() == inputs:
        return
    shutil.rmtree(workspace, ignore_errors=True)
    write_text(marker, inputs)


def _count(
    lengths: NDArray[np.int64], order: collation.Shuffled, steps: int, batch_size: int, collator: collation.Collator
) -> tuple[int, int, int]:
    """(windows, tokens, tokens with padding) in the first ``steps`` updates."""
    n_windows = tokens = padded = 0
    collators = [replace(collator, rank=rank) for rank in range(collator.processes)]
    for rows in islice(_updates(order, batch_size), steps):
        n_windows += len(rows)
        tokens += int(lengths[rows].sum())
        padded += sum(one.width(part) * len(part) for one in collators for part in one.parts(rows))
    return n_windows, tokens, padded


def _updates(order: collation.Shuffled, batch_size: int) -> Iterator[list[int]]:
    """The rows of each update, epoch after epoch without end."""
    for epoch in count():
        order.set_epoch(epoch)
        rows = list(order)
        yield from (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
