"""Several processes that share every update, each on its own device, started by accelerate launch.

Their inputs and results are passed in files.

python -m qa_tradeoffs.training.workers FOLDER   (run by accelerate in each process)
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, enough_disk_for, written_atomically
from qa_tradeoffs.core.locks import end_with_parent
from qa_tradeoffs.training import trainer
from qa_tradeoffs.training.setup import LAUNCHER, Fitted, Setup

_TASK, _RESULT, _FAILURE, _LOG = "task.pt", "result.pt", "failure", "log"


def train(network: Any, setup: Setup) -> Fitted:
    """``trainer.train`` in ``setup.processes``: each process gets a GPU or a share of the CPU cores.

    A checkpoint can only be resumed by as many processes as wrote it. The processes end with this one. Raises
    StudyError with the message of the first that failed.
    """
    folder = (setup.workspace / "exchange").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    precision = setup.precision(network)  # the same in all processes
    alike = setup.recipe.model_copy(update={"precision": precision})
    torch.save((network, replace(setup, recipe=alike, workspace=folder.parent)), folder / _TASK)
    threads = max(1, torch.get_num_threads() // setup.processes)
    here = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines=1", "--main_process_port=0"]
    launcher = shlex.split(os.environ.get(LAUNCHER, "")) or [*here, f"--num_cpu_threads_per_process={threads}"]
    settings = ["--multi_gpu", f"--num_processes={setup.processes}", "--mixed_precision=no", "--dynamo_backend=no"]
    command = [*launcher, *settings, "-m", "qa_tradeoffs.training.workers", str(folder)]
    try:
        with (
            (folder / _LOG).open("wb") as log,
            subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=lambda: end_with_parent(signal.SIGTERM),
            ) as launched,
        ):  # fmt: skip
            try:
                launched.wait()
            finally:
                launched.terminate()  # on an interrupt
    except (FileNotFoundError, PermissionError) as error:
        raise StudyError(f"ACCELERATE: '{command[0]}' cannot be started ({error.strerror})") from None
    if not (folder / _RESULT).is_file():
        raise StudyError(_failure(folder, setup))
    result = torch.load(folder / _RESULT, map_location="cpu")
    network.load_state_dict(result["weights"])
    return Fitted(**result["fitted"])


def _failure(folder: Path, setup: Setup) -> str:
    """Why the processes ended without a result."""
    log, left = folder / _LOG, folder / _FAILURE
    if re.search(r"Root Cause.*\(SIGKILL\)", log.read_text(errors="replace"), re.DOTALL):
        return (
            f"training.processes: one of {setup.processes} was killed, probably because memory ran out; "
            f"{setup.recipe.too_large}"
        )
    return left.read_text() if left.is_file() else _one_failed(folder, setup.processes, "they could not be started")


def _one_failed(folder: Path, processes: int, reason: str) -> str:
    return f"training.processes: one of {processes} failed ({reason}); their output is in {folder / _LOG}"


def work(folder: Path) -> None:
    """What each process does: train, and, in the first one, write the results."""
    network, setup = torch.load(folder / _TASK, weights_only=False)  # this program's own file
    try:
        with enough_disk_for(setup.workspace):
            fitted = trainer.train(network, setup)
            if os.environ["RANK"] == "0":
                with written_atomically(folder / _RESULT) as temporary:
                    torch.save({"weights": network.state_dict(), "fitted": asdict(fitted)}, temporary)
    except Exception as error:
        refused = isinstance(error, StudyError)
        reason = f"{type(error).__name__}: {one_line(error)}"
        # Later failures are consequences of the first.
        with suppress(FileExistsError), (folder / _FAILURE).open("x") as file:
            file.write(str(error) if refused else _one_failed(folder, setup.processes, reason))
        raise


if __name__ == "__main__":
    end_with_parent(signal.SIGKILL)
    work(Path(sys.argv[1]))
    os._exit(0)  # everything is written; gloo's remaining threads can abort a normal exit
