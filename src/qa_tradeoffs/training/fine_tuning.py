"""Fine-tune with transformers' Trainer: seeded, resumable, with the loss history and the time it really took."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count, islice
from typing import Any

import numpy as np
import torch
import transformers
from accelerate.utils import gather_object
from numpy.typing import NDArray

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import enough_disk_for, write_text
from qa_tradeoffs.core.locks import locked
from qa_tradeoffs.models import devices, inputs
from qa_tradeoffs.models.dropout import fast_masks
from qa_tradeoffs.models.dropout_rates import set_dropout
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.training import collation
from qa_tradeoffs.training.recorder import Recorder, last_complete_checkpoint
from qa_tradeoffs.training.setup import Fitted, Setup
from qa_tradeoffs.training.trainer import Rows, Trainer, arguments_of


def fit(network: Any, setup: Setup) -> Fitted:
    """Train ``network`` in place, in this process, and return what it cost.

    Raises StudyError when the loss is no longer a number, windows are too long for the network, memory or the disk are
    full, or another process trains in the same workspace.
    """
    with workspace_of(setup):
        return train(network, setup)


@contextmanager
def workspace_of(setup: Setup) -> Iterator[None]:
    """Keep others out of the workspace while the block runs; checkpoints of other inputs are removed from it."""
    workspace = setup.workspace
    with locked(workspace.with_name(f".{workspace.name}.lock"), str(workspace)), enough_disk_for(workspace):
        _keep_only_if_same(setup)
        yield


def train(network: Any, setup: Setup) -> Fitted:
    """``fit`` in a workspace that is kept for it, also as one of several processes that accelerate has started.

    Each process computes its share of every update, and all of them come to the same weights. The first one keeps time
    and writes checkpoints.
    """
    windows, recipe = setup.windows, setup.recipe
    inputs.of(network).check_windows(int(windows.lengths.max()))
    set_dropout(network, recipe.dropout)
    order = collation.Shuffled(len(windows.lengths), setup.seed)
    arguments = arguments_of(setup)
    collator = replace(
        collation.collator_for(network, windows, setup.pad_token_id, setup.device),
        rank=arguments.process_index, processes=arguments.world_size,
    )  # fmt: skip
    recorder = Recorder(recipe.save_minutes * 60, int(windows.lengths.max()))
    trainer = Trainer(
        model=network,
        args=arguments,
        train_dataset=Rows(len(windows.lengths)),
        data_collator=collator,
        callbacks=[recorder],
        order=order,
    )
    trainer.remove_callback(transformers.PrinterCallback)
    recorder.trainer = trainer
    with (
        quiet(),
        enough_disk_for(setup.workspace),
        devices.enough_memory(otherwise=recipe.too_large),
        fast_masks(recipe.fast_dropout),
    ):
        trainer.train(resume_from_checkpoint=last_complete_checkpoint(setup.workspace))
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


def _check_weights(network: Any) -> None:
    """Refuse weights that the very last update broke: no loss was computed with them."""
    if not all(bool(weight.isfinite().all()) for weight in network.parameters()):
        raise StudyError(
            "training.learning_rate: after the last update the weights are no longer numbers; "
            "try a lower rate, or some warmup_ratio"
        )


def _devices(own: torch.device) -> int:
    """On how many devices the processes are; several on the processor of one machine have one of them."""
    of_each: list[str] = gather_object([f"{socket.gethostname()} {own}"])
    return len(set(of_each))


def _keep_only_if_same(setup: Setup) -> None:
    """Empty the workspace unless its checkpoints belong to these inputs, and to as many processes."""
    expected = setup.inputs if setup.processes == 1 else f"{setup.inputs} {setup.processes}"
    marker = setup.workspace / "inputs"
    if marker.is_file() and marker.read_text() == expected:
        return
    shutil.rmtree(setup.workspace, ignore_errors=True)
    write_text(marker, expected)


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
