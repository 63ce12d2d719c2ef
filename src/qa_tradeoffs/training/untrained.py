"""What can be seen of a training before its first update: the loss of the untrained network, and the time to expect."""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from qa_tradeoffs.core.words import counted, seconds
from qa_tradeoffs.metrics.flops import TRAINING_OVER_FORWARD
from qa_tradeoffs.models import devices, precisions
from qa_tradeoffs.training import collation
from qa_tradeoffs.training.setup import Setup


@dataclass(frozen=True)
class Untrained:
    """An untrained network and the windows of its first update, or of one process's share of them.

    ``loss``: their mean loss, in nats. ``guess``: the loss if all tokens of a window were equally probable, the mean of
    ln(length); with a teacher, an upper bound of it. ``windows``: their number. ``seconds``: the time of their forward
    pass. ``updates``: the recipe's number, without early stopping.
    """

    loss: float
    guess: float
    windows: int
    seconds: float
    updates: int

    @property
    def expected_seconds(self) -> float:
        """Seconds of the whole training, at three forward passes an update, without dropout and the optimizer."""
        return TRAINING_OVER_FORWARD * self.seconds * self.updates

    def summary(self) -> dict[str, str]:
        """The loss and the expected time, for a reader."""
        return {
            "loss of the untrained network": f"{self.loss:.2f} nats, the mean of {counted(self.windows, 'window')}",
            "loss of a uniform guess": f"{self.guess:.2f} nats",
            "updates to make": f"{self.updates:,}",
            "expected time": seconds(self.expected_seconds),
        }


def look(network: Any, setup: Setup) -> Untrained:
    """Measure the ``network`` on the windows of its first update, without changing it. Raises StudyError."""
    recipe, windows, device = setup.recipe, setup.windows, setup.device
    share = max(1, recipe.batch_size // setup.processes)
    (rows,) = collation.Shuffled(len(windows.lengths), setup.seed).updates(share, 1)
    collator = collation.collator_for(network, windows, setup.pad_token_id, device)
    parts = replace(collator, lesson=setup.lesson)
    trains = network.training
    with devices.enough_memory(otherwise=recipe.too_large), torch.no_grad():
        network.to(device).eval()
        for _ in range(2):  # the first call fills caches
            began = time.monotonic()
            with precisions.autocast(device, setup.precision(network)):
                losses = [_loss(network, part, setup) for part in parts(rows.tolist())["parts"]]
            devices.synchronize(device)
            took = time.monotonic() - began
        network.to("cpu").train(trains)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # other processes may train on it
    a_guess = np.log(windows.lengths[rows]).mean() * (setup.lesson.guess if setup.lesson else 1)
    updates = math.ceil(recipe.epochs * math.ceil(len(windows.lengths) / recipe.batch_size))
    return Untrained(sum(losses), float(a_guess), len(rows), took, updates)


def _loss(network: Any, part: dict[str, Any], setup: Setup) -> float:
    moved = collation.moved(part, setup.device)
    return float(collation.part_loss(network, moved, setup.recipe.label_smoothing, setup.lesson))
