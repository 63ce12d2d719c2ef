"""Train in several processes that share every update, each on a device of its own: through accelerate launch.

The network and the windows go to the processes by files, the trained weights come back by files.

python -m qa_tradeoffs.training.workers FOLDER   (what accelerate runs in each of the processes)
"""

import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
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
from qa_tradeoffs.training import trainer
from qa_tradeoffs.training.fitted import Fitted
from qa_tradeoffs.training.run import LAUNCHER, Run

_RUN, _WINDOWS, _NETWORK = "run.json", "windows.npz", "network"
_TRAINED, _FITTED, _LOG = "trained.safetensors", "fitted.json", "log"
_REFUSED, _CRASHED = "refused", "crashed"  # the first sentence of either kind


def train(network: Any, run: Run) -> Fitted:
    """``trainer.train`` in ``run.processes`` processes; they end when this one does.

    Raises StudyError with the sentence of the process that failed first.
    """
    folder = run.workspace / "exchange"
    _write(folder, network, run)
    _launch(folder, run.processes)
    if not (folder / _FITTED).is_file():  # the last to be written
        raise StudyError(_failure(folder, run))
    load_model(network, folder / _TRAINED)
    return Fitted(**json.loads(read_bytes(folder / _FITTED)))


def _write(folder: Path, network: Any, run: Run) -> None:
    """All that the processes need."""
    shutil.rmtree(folder, ignore_errors=True)
    with quiet():
        network.save_pretrained(folder / _NETWORK)
    np.savez(
        folder / _WINDOWS, **{field.name: getattr(run.windows, field.name) for field in dataclasses.fields(Windows)}
    )
    settings = {"pad_token_id": run.pad_token_id, "seed": run.seed, "inputs": run.inputs, "processes": run.processes}
    settings |= {"recipe": run.recipe.model_dump(mode="json"), "device": run.device.type}
    write_text(folder / _RUN, json.dumps(settings | {"grouped_matmul": squeezebert.is_matmul(network)}))


def _read(folder: Path) -> tuple[Any, Run]:
    """The network and the run that ``_write`` left in the folder."""
    settings = json.loads(read_bytes(folder / _RUN))
    network = checkpoints.load(folder / _NETWORK, grouped_matmul=settings.pop("grouped_matmul"))
    with np.load(folder / _WINDOWS, allow_pickle=False) as arrays:
        windows = Windows(**arrays)
    settings["recipe"] = Training.model_validate(settings["recipe"])
    settings["device"] = devices.choose(settings["device"])
    return network, Run(windows, workspace=folder.parent, **settings)


def _launch(folder: Path, processes: int) -> None:
    """Run the processes until they end, or this one is interrupted."""
    here = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines=1", "--main_process_port=0"]
    here += [f"--num_cpu_threads_per_process={max(1, torch.get_num_threads() // processes)}"]
    command = shlex.split(os.environ.get(LAUNCHER, "")) or here
    command += ["--multi_gpu", f"--num_processes={processes}", "--mixed_precision=no", "--dynamo_backend=no"]
    command += ["-m", __name__, str(folder.absolute())]
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
                launched.terminate()
    except (FileNotFoundError, PermissionError) as error:
        raise StudyError(f"ACCELERATE: '{command[0]}' cannot be started ({error.strerror})") from None


def _failure(folder: Path, run: Run) -> str:
    """Why the processes ended without a result."""
    refused, crashed, log = (folder / name for name in (_REFUSED, _CRASHED, _LOG))
    if refused.is_file():
        return refused.read_text()
    if re.search(r"Root Cause.*\(SIGKILL\)", log.read_text(errors="replace"), re.DOTALL):
        return (
            f"training.processes: one of {run.processes} was killed, mostly for want of memory; {run.recipe.too_large}"
        )
    reason = crashed.read_text() if crashed.is_file() else "they could not be started"
    return f"training.processes: one of {run.processes} failed ({reason}); what they printed is in {log}"


def _leave(path: Path, sentence: str) -> None:
    """Write a sentence where nobody has written one: what fails later, fails because of the first."""
    with suppress(FileExistsError), path.open("x") as file:
        file.write(sentence)


def main(folder: Path) -> None:
    """Be one of the processes: train, and where it is the first of them write the result."""
    end_with_parent(signal.SIGKILL)
    first = os.environ["RANK"] == "0"
    if not first:
        os.environ.pop(progress.VARIABLE, None)  # they are all as far as the first
    try:
        network, run = _read(folder)
        fitted = trainer.train(network, run)
        if first:
            save_model(network, folder / _TRAINED)
            write_text(folder / _FITTED, json.dumps(dataclasses.asdict(fitted)))
    except StudyError as error:
        _leave(folder / _REFUSED, str(error))
        raise
    except Exception as error:
        _leave(folder / _CRASHED, f"{type(error).__name__}: {one_line(error)}")
        raise
    os._exit(0)  # all is written; the threads that gloo leaves behind can abort a process that ends in the usual way


if __name__ == "__main__":
    main(Path(sys.argv[1]))
