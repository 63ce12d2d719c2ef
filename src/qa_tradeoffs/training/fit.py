"""Fine-tune a network: seeded, resumable, in one process or several."""

import shutil
from typing import Any

from qa_tradeoffs.core.files import enough_disk_for, write_text
from qa_tradeoffs.core.locks import locked
from qa_tradeoffs.training import trainer, workers
from qa_tradeoffs.training.fitted import Fitted
from qa_tradeoffs.training.run import Run


def fit(network: Any, run: Run) -> Fitted:
    """Train ``network`` in place and return what it cost.

    A checkpoint is resumed from by as many processes as wrote it. Raises StudyError when the loss is no longer a
    number, windows are too long for the network, the windows of an update cannot be shared out evenly, memory or the
    disk are full, a process ended, or another training uses the same workspace.
    """
    run.check(network)
    workspace = run.workspace
    with locked(workspace.with_name(f".{workspace.name}.lock"), str(workspace)), enough_disk_for(workspace):
        _discard_checkpoints_of_others(run)
        return trainer.train(network, run) if run.processes == 1 else workers.train(network, run)


def _discard_checkpoints_of_others(run: Run) -> None:
    """Empty the workspace unless its checkpoints belong to these inputs and as many processes."""
    marker, inputs = run.workspace / "inputs", f"{run.inputs} {run.processes}"
    if marker.is_file() and marker.read_text() == inputs:
        return
    shutil.rmtree(run.workspace, ignore_errors=True)
    write_text(marker, inputs)
