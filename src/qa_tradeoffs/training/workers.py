"""Fine-tune in several processes that share every update, each on a device of its own: through accelerate launch.

The network and the windows go to the processes by files, the trained weights come back by files.

python -m qa_tradeoffs.training.workers FOLDER   (what accelerate runs in each of the processes)
"""

import argparse
import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_model, save_model

from qa_tradeoffs.core import progress
from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import ROOT, read_bytes, write_text
from qa_tradeoffs.core.locks import end_with_parent
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.models import checkpoints, devices, squeezebert
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.study.config import Training
from qa_tradeoffs.training import fine_tuning
from qa_tradeoffs.training.setup import Fitted, Setup

LAUNCHER = "QA_TRADEOFFS_ACCELERATE"  # the command that starts the processes, where it is not `accelerate launch`
_TASK, _WINDOWS, _NETWORK = "task.json", "windows.npz", "network"
_TRAINED, _FITTED, _LOG = "trained.safetensors", "fitted.json", "log"
_REFUSED, _CRASHED = "refused", "crashed"  # the first sentence of either kind


def fit(network: Any, setup: Setup) -> Fitted:
    """``fine_tuning.fit`` in ``setup.processes``: the same updates of the same windows, each with its share of them.

    Every process takes a GPU, or its share of the processor's cores. A checkpoint is resumed from by as many processes
    as wrote it. Raises StudyError also where the windows of an update cannot be shared out evenly, or a process ended.
    """
    check(setup)
    if setup.processes == 1:
        return fine_tuning.fit(network, setup)
    with fine_tuning.workspace_of(setup):
        folder = setup.workspace / "exchange"
        _write(folder, network, setup)
        _launch(folder, setup)
        load_model(network, folder / _TRAINED)
        return Fitted(**json.loads(read_bytes(folder / _FITTED)))


def check(setup: Setup) -> None:
    """Refuse a number of processes that does not divide the windows of an update evenly, or has too few GPUs here."""
    processes, recipe, device = setup.processes, setup.recipe, setup.device
    if processes < 1 or recipe.batch_size % processes:
        raise StudyError(
            f"training.processes: {processes} processes cannot share a batch_size of {recipe.batch_size} evenly; "
            "give a number that divides it (NPROC=... on make's command line comes before the study's)"
        )
    if device.type == "cuda" and not os.environ.get(LAUNCHER) and processes > (count := torch.cuda.device_count()):
        raise StudyError(f"training.processes: {processes} processes need as many GPUs, but torch sees {count} here")


def _write(folder: Path, network: Any, setup: Setup) -> None:
    """All that the processes need."""
    windows = setup.windows
    folder.mkdir(exist_ok=True)
    for left_over in (_TRAINED, _FITTED, _REFUSED, _CRASHED):
        (folder / left_over).unlink(missing_ok=True)
    with quiet():
        network.save_pretrained(folder / _NETWORK)
    np.savez(folder / _WINDOWS, **{field.name: getattr(windows, field.name) for field in dataclasses.fields(windows)})
    task = {
        "recipe": setup.recipe.model_dump(mode="json"), "pad_token_id": setup.pad_token_id, "seed": setup.seed,
        "device": setup.device.type, "grouped_matmul": squeezebert.is_matmul(network),
    }  # fmt: skip
    write_text(folder / _TASK, json.dumps(task))


def _launch(folder: Path, setup: Setup) -> None:
    """Run the processes; they end when this one does. Raises StudyError with the sentence of the one that failed."""
    processes = setup.processes
    here = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines=1", "--main_process_port=0"]
    here += [f"--num_cpu_threads_per_process={max(1, torch.get_num_threads() // processes)}"]
    settings = ["--multi_gpu", f"--num_processes={processes}", "--mixed_precision=no", "--dynamo_backend=no"]
    command = [*(shlex.split(os.environ.get(LAUNCHER, "")) or here), *settings, "-m", "qa_tradeoffs.training.workers"]
    try:
        with (
            (folder / _LOG).open("wb") as log,
            subprocess.Popen(
                [*command, str(folder.absolute())], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, preexec_fn=lambda: end_with_parent(signal.SIGTERM),
            ) as launched,
        ):  # fmt: skip
            try:
                launched.wait()
            finally:
                launched.terminate()  # on an interrupt
    except (FileNotFoundError, PermissionError) as error:
        raise StudyError(f"ACCELERATE: '{command[0]}' cannot be started ({error.strerror})") from None
    if not (folder / _FITTED).is_file():  # the last to be written
        raise StudyError(_failure(folder, processes, setup.recipe))


def _failure(folder: Path, processes: int, recipe: Training) -> str:
    """Why the processes ended without a result."""
    refused, crashed, log = (folder / name for name in (_REFUSED, _CRASHED, _LOG))
    if refused.is_file():
        return refused.read_text()
    if re.search(r"Root Cause.*\(SIGKILL\)", log.read_text(errors="replace"), re.DOTALL):
        return f"training.processes: one of {processes} was killed, mostly for want of memory; {recipe.too_large}"
    reason = crashed.read_text() if crashed.is_file() else "they could not be started"
    return f"training.processes: one of {processes} failed ({reason}); what they printed is in {log}"


def work(folder: Path) -> None:
    """The part of one of the processes: train, and where it is the first of them write what came of it."""
    task = json.loads(read_bytes(folder / _TASK))
    rank = int(os.environ["RANK"])
    if rank:
        os.environ.pop(progress.VARIABLE, None)  # they are all as far as the first
    with np.load(folder / _WINDOWS, allow_pickle=False) as arrays:
        windows = Windows(**arrays)
    network = checkpoints.load(folder / _NETWORK, grouped_matmul=task["grouped_matmul"])
    fitted = fine_tuning.train(
        network,
        Setup(windows, Training.model_validate(task["recipe"]), task["pad_token_id"], task["seed"],
              devices.choose(task["device"]), folder.parent, inputs=""),
    )  # fmt: skip
    if rank == 0:
        save_model(network, folder / _TRAINED)
        write_text(folder / _FITTED, json.dumps(dataclasses.asdict(fitted)))


def _leave(path: Path, sentence: str) -> None:
    """Leave a sentence where nobody has left one: what fails later, fails because of the first."""
    try:
        with path.open("x") as file:
            file.write(sentence)
    except FileExistsError:
        pass


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Be one of the processes that train together.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    end_with_parent(signal.SIGKILL)
    try:
        work(folder)
    except StudyError as error:
        _leave(folder / _REFUSED, str(error))
        raise
    except Exception as error:
        _leave(folder / _CRASHED, f"{type(error).__name__}: {one_line(error)}")
        raise
    os._exit(0)  # all is written; the threads that gloo leaves behind can abort a process that ends in the usual way


if __name__ == "__main__":
    main()
