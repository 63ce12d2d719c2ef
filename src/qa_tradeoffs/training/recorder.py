"""Keeps the time of a training, and the checkpoint that it is resumed from."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast, gather
from transformers import TrainerCallback

from qa_tradeoffs.core.files import write_text
from qa_tradeoffs.core.progress import Progress
from qa_tradeoffs.models import devices

_MARKER = "elapsed.json"  # of a complete checkpoint
_STEPS_BETWEEN_QUESTIONS = 10  # whether a checkpoint is due, of several processes: GPUs have to wait for the answer


class Recorder(TrainerCallback):  # type: ignore[misc]
    """Takes the time, has a checkpoint written every so often, and reports progress.

    ``trainer`` is to be set before the training begins.
    """

    trainer: Any

    def __init__(self, seconds_between_saves: float) -> None:
        self._between = seconds_between_saves
        self._before = 0.0
        self._began = self._saved = time.monotonic()
        self._ended: float | None = None
        self.resumed_at = 0

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those of interrupted attempts up to their last checkpoint included."""
        return self._before + (self._ended or time.monotonic()) - self._began

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock where the attempt before this one stopped it."""
        self.resumed_at = state.global_step
        if self.resumed_at:
            marker = json.loads((_checkpoint(args, state) / _MARKER).read_bytes())
            self._before = marker["seconds"]
            # The Trainer would forget the losses since the last row of the history, and rows would depend on the clock.
            self.trainer._tr_loss += marker["losses_since_row"][args.process_index]
            self.trainer._globalstep_last_logged = marker["last_row"]
        elif args.process_index:  # dropout masks of its own; a resumed one has the state of its generator
            torch.manual_seed(int(np.random.SeedSequence((args.seed, args.process_index)).generate_state(1)[0]))
        self._progress = Progress("training step", state.max_steps)
        self._began = self._saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report progress, and ask the Trainer for a checkpoint where one is due."""
        self._progress.update(state.global_step)
        at_end = state.global_step == state.max_steps
        control.should_save = not at_end and self._is_due(args, state)
        control.should_log |= at_end  # the mean since the last row would be lost unless its step is a round one

    def _is_due(self, args: Any, state: Any) -> bool:
        """Whether it is time for a checkpoint; of several processes the first one's clock decides."""
        due = time.monotonic() - self._saved > self._between
        if args.world_size == 1:
            return due
        if state.global_step % _STEPS_BETWEEN_QUESTIONS:
            return False
        return bool(broadcast(torch.tensor(int(due), device=args.device)))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the new checkpoint as complete, and only then remove the others."""
        self._saved = time.monotonic()
        complete = _checkpoint(args, state)
        losses = gather(self.trainer._tr_loss)  # once each process has written its generator's state
        if args.process_index:
            return
        marker = {
            "seconds": self.seconds,
            "losses_since_row": losses.reshape(-1).tolist(),
            "last_row": self.trainer._globalstep_last_logged,
        }
        write_text(complete / _MARKER, json.dumps(marker))
        for other in complete.parent.glob("checkpoint-*"):
            if other != complete:
                shutil.rmtree(other, ignore_errors=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the clock when the device has done the last update."""
        devices.synchronize(args.device)
        self._ended = time.monotonic()


def last_complete_checkpoint(workspace: Path) -> str | None:
    """The newest checkpoint that was marked as complete; one that a crash left half-written is passed over."""
    complete = [marker.parent for marker in workspace.glob(f"checkpoint-*/{_MARKER}")]
    return str(max(complete, key=lambda folder: int(folder.name.split("-")[1]))) if complete else None


def _checkpoint(args: Any, state: Any) -> Path:
    """The checkpoint folder of the step at hand, as the Trainer names it."""
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"
