"""Stop a training that diverges: its loss or its weights are no numbers, or it stays worse than a guess."""

import math
from typing import Any

from transformers import TrainerCallback

from qa_tradeoffs.core.errors import StudyError

# A blind guess costs log(tokens of a window) nats, and a network that only learns to be unsure comes down to that. A
# row of the history is the mean over 2 % of the updates: one that is twice as bad may be a rough start, three in a row
# are not.
_TIMES_A_GUESS, _ROWS_UNTIL_DIVERGED = 2, 3
_ADVICE = "try a lower rate, or some warmup_ratio"


class Divergence(TrainerCallback):  # type: ignore[misc]
    """Stops a training whose logged loss is no number, or stays far above that of a guess among ``longest`` tokens."""

    def __init__(self, longest: int) -> None:
        self._limit, self._rows_above = _TIMES_A_GUESS * math.log(longest), 0

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Look at each new row of the history."""
        if "loss" not in logs:
            return
        check_loss(logs["loss"], state.global_step)
        self._rows_above = self._rows_above + 1 if logs["loss"] > self._limit else 0
        if self._rows_above == _ROWS_UNTIL_DIVERGED:
            raise StudyError(
                f"training.learning_rate: the training diverged: up to update {state.global_step} the loss was "
                f"{logs['loss']:.3g} nats, {_TIMES_A_GUESS} times that of a guess or more, {_ROWS_UNTIL_DIVERGED} "
                f"reports in a row; {_ADVICE}"
            )


def check_loss(loss: float, step: int) -> None:
    """Refuse a loss that is no number, after ``step`` updates."""
    if not math.isfinite(loss):
        raise StudyError(
            f"training.learning_rate: the loss is no longer a number ({loss}) after {step} updates; {_ADVICE}"
        )


def check_weights(network: Any) -> None:
    """Refuse weights that the very last update broke: no loss was computed with them."""
    if not all(bool(weight.isfinite().all()) for weight in network.parameters()):
        raise StudyError(f"training.learning_rate: after the last update the weights are no longer numbers; {_ADVICE}")
