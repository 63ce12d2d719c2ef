"""The updates of a training as single calls, so that models can be timed in turn."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from qa_tradeoffs.data.features import Int64, Windows
from qa_tradeoffs.models import precisions
from qa_tradeoffs.models.fast_attention import fast_attention
from qa_tradeoffs.models.fast_dropout import fast_masks
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training import collation
from qa_tradeoffs.training.setup import prepare

_LEARNING_RATE = 1e-6  # so small that repeated updates hardly change the network


def updates(
    network: Any, windows: Windows, recipe: Training, pad_token_id: int, device: torch.device, rows: Sequence[Int64]
) -> list[Callable[[], None]]:
    """One call per element of ``rows``, the windows of an update: collation, forward and backward by parts, AdamW.

    As in the Trainer: the recipe's precision, dropout, weight decay and freezing, gradient clipping, and fused AdamW,
    whose state is twice the network's size. The network must be on the device and in training mode.
    """
    prepare(network, recipe)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=_LEARNING_RATE, weight_decay=recipe.weight_decay, fused=True)
    collator = collation.collator_for(network, windows, pad_token_id, device)
    precision = precisions.chosen(recipe.precision, device, network)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")  # a no-op for other precisions

    def update(of_update: list[int]) -> None:
        with fast_masks(recipe.fast_dropout), fast_attention(recipe.fast_dropout):
            for part in collator(of_update)["parts"]:
                with precisions.autocast(device, precision):
                    loss = collation.part_loss(network, collation.moved(part, device), recipe.label_smoothing)
                scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(optimizer)
        if recipe.max_grad_norm > 0:
            torch.nn.utils.clip_grad_norm_(parameters, recipe.max_grad_norm)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    return [partial(update, of_update.tolist()) for of_update in rows]


def rows_of_updates(n_windows: int, size: int, n_updates: int, seed: int) -> list[Int64]:
    """The rows of ``n_updates`` updates of ``size`` windows, drawn as in training; fewer if the windows run out."""
    order = np.random.default_rng(seed).permutation(n_windows)
    return list(np.resize(order, (n_updates, min(size, n_windows))))
