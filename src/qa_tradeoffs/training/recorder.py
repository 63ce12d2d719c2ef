"""Callbacks during training: the clock, checkpoints to resume from, progress, and detection of divergence."""

import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast, gather
from transformers import TrainerCallback

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import write_text
from qa_tradeoffs.core.progress import Progress
from qa_tradeoffs.models import devices

_MARKER = "elapsed.json"
_STEPS_BETWEEN_LOOKS = 10  # at the loss or another process's clock: on a GPU each synchronises
# Even a network that learns nothing reaches the loss of a uniform guess. A report is the mean over 2 % of the updates:
# a single one of twice that loss may be a rough start, three in a row are divergence.
_TIMES_A_GUESS, _ROWS_UNTIL_DIVERGED = 2, 3


class Recorder(TrainerCallback):  # type: ignore[misc]
    """Measures time, requests checkpoints at intervals, shows progress, and stops a training that diverges.

    ``guess``: the loss of a uniform guess, in nats.
    ``seconds`` of training include interrupted attempts up to their last checkpoint; this attempt started at step
    ``resumed_at``.
    """

    def __init__(self, trainer: Any, seconds_between_saves: float, guess: float) -> None:
        self._trainer, self._between = trainer, seconds_between_saves
        self._worst, self._worse = _TIMES_A_GUESS * guess, 0
        self.seconds, self.resumed_at = 0.0, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock, from the time of the attempt that is resumed."""
        self.resumed_at = state.global_step
        if self.resumed_at:
            marker = json.loads((_checkpoint(args, state) / _MARKER).read_bytes())
            self.seconds = marker["seconds"]
            # The Trainer forgets the losses since the last row of the history, which would then depend on the clock.
            self._trainer._tr_loss += marker["losses_since_row"][args.process_index]
            self._trainer._globalstep_last_logged = marker["last_row"]
        elif args.process_index:  # its own dropout masks; on resuming, the Trainer restores the state
            torch.manual_seed(int(np.random.SeedSequence((args.seed, args.process_index)).generate_state(1)[0]))
        self._progress = Progress("training step", state.max_steps)
        self._counted = self._saved = time.monotonic()

    def _count_seconds(self) -> None:
        """Bring ``seconds`` up to now."""
        now = time.monotonic()
        self.seconds += now - self._counted
        self._counted = now

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Show progress, stop if the loss is no longer a number, and request a checkpoint when one is due."""
        if args.process_index == 0:
            self._progress.update(state.global_step)
        at_end, look = state.global_step == state.max_steps, state.global_step % _STEPS_BETWEEN_LOOKS == 0
        due = time.monotonic() - self._saved > self._between
        if args.world_size > 1:  # the first process's clock decides
            due = look and bool(broadcast(torch.tensor(int(due), device=args.device)))
        control.should_save = due and not at_end
        control.should_log |= at_end  # else the mean since the last row could be lost
        if look or at_end or control.should_save:
            loss = float(self._trainer._tr_loss)  # a sum since the last row; once NaN, it stays NaN
            if not math.isfinite(loss):
                raise StudyError(
                    f"training.learning_rate: the loss is no longer a number ({loss}) after {state.global_step} "
                    "updates; try a lower rate, or a higher warmup_ratio"
                )

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the new checkpoint as complete, then remove the others."""
        self._saved = time.monotonic()
        losses = gather(self._trainer._tr_loss)  # waits until each process has written its generator's state
        if args.process_index:
            return
        self._count_seconds()
        marker = {
            "seconds": self.seconds,
            "losses_since_row": losses.reshape(-1).tolist(),
            "last_row": self._trainer._globalstep_last_logged,
        }
        complete = _checkpoint(args, state)
        write_text(complete / _MARKER, json.dumps(marker))
        for other in complete.parent.glob("checkpoint-*"):
            if other != complete and str(other) != state.best_model_checkpoint:
                shutil.rmtree(other, ignore_errors=True)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Stop a training whose loss stays far above a uniform guess's."""
        if "loss" in logs:
            self._worse = self._worse + 1 if logs["loss"] > self._worst else 0
            if self._worse == _ROWS_UNTIL_DIVERGED:
                raise StudyError(
                    f"training.learning_rate: training diverged: the loss, {logs['loss']:.3g} nats at update "
                    f"{state.global_step}, exceeded {_TIMES_A_GUESS} times a uniform guess's in {_ROWS_UNTIL_DIVERGED} "
                    "reports in a row; try a lower rate, or a higher warmup_ratio"
                )

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report the mean since the last row if training stops early; the Trainer calls this when it stops."""
        control.should_log |= control.should_training_stop

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the clock when the device is done."""
        devices.synchronize(args.device)
        self._count_seconds()


def _checkpoint(args: Any, state: Any) -> Path:
    """The checkpoint folder of the current step, as the Trainer names it."""
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"


def last_complete_checkpoint(workspace: Path) -> str | None:
    """The newest checkpoint marked as complete; those that a crash left half-written are ignored."""
    complete = [marker.parent for marker in workspace.glob(f"checkpoint-*/{_MARKER}")]
    return str(max(complete, key=lambda folder: int(folder.name.split("-")[1]))) if complete else None
