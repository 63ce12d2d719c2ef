"""Fine-tune a network: seeded, resumable, in one process or several."""

import shutil
from typing import Any

from qa_tradeoffs.core.files import enough_disk_for, write_text
from qa_tradeoffs.core.locks import locked
from qa_tradeoffs.training import workers
from qa_tradeoffs.training.setup import Fitted, Setup
from qa_tradeoffs.training.trainer import train


def fit(network: Any, setup: Setup) -> Fitted:
    """Train ``network`` in place, in ``setup.processes``, and return the cost.

    Raises StudyError if the loss is no longer a number, windows are too long for the network, memory or disk are full,
    another process trains in the same workspace, the processes cannot share the updates, or one of them fails.
    """
    setup.check(network)
    workspace = setup.workspace
    with locked(workspace.with_name(f".{workspace.name}.lock"), str(workspace)), enough_disk_for(workspace):
        expected, marker = f"{setup.inputs} {setup.processes}", workspace / "inputs"
        if not marker.is_file() or marker.read_text() != expected:  # a checkpoint of other inputs
            shutil.rmtree(workspace, ignore_errors=True)
            write_text(marker, expected)
        return train(network, setup) if setup.processes == 1 else workers.train(network, setup)
