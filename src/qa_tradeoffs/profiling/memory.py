"""The most memory that forward passes take, each measured in a process of its own.

The processes are forked from one that has loaded the libraries and nothing else. What is found:

On a GPU, ``allocated`` (in tensors, weights included) and ``reserved`` (what torch took from the device for them).
On a CPU, ``resident_above_baseline``: the highest resident set while passes run, less that of the process before the
weights exist, with all libraries loaded; weights, inputs, activations and the libraries' work space are in it. And
``resident_above_network``: the same, less the resident set with weights and inputs.
"""

import gc
import json
import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.locks import end_with_parent
from qa_tradeoffs.core.progress import Progress
from qa_tradeoffs.models import devices, networks, squeezebert
from qa_tradeoffs.profiling.workloads import Forward, Subject, number_format, random_batch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_CALLS = 2  # the first one fills caches that the second one needs
_PRELOADED = [__name__, "transformers.models.auto.modeling_auto"]


def prepare() -> None:
    """Begin to load the libraries in the process that those which measure are forked from; returns at once."""
    forkserver.set_forkserver_preload(_PRELOADED)
    forkserver.ensure_running()


def measure(
    subjects: Sequence[Subject], *, device: torch.device, formats: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """Record rows of every subject at every point of its memory grid; ``out_of_memory`` is a result like others."""
    points = [
        (subject, precision, batch_size, length)
        for subject in subjects
        for precision in formats
        for grid in subject.memory
        for batch_size in grid.batch_sizes
        for length in grid.lengths
    ]
    progress = Progress("memory measurement", len(points))
    rows = []
    for done, (subject, precision, batch_size, length) in enumerate(points):
        found = in_own_process(request(subject.network, batch_size, length, device, precision, seed))
        conditions = subject.conditions(device, precision) | {"weights": "random"}
        conditions |= {"work": "forward", "batch_size": batch_size, "length": length}
        rows += _rows(found, conditions)
        progress.update(done + 1)
    return rows


def request(
    network: Any, batch_size: int, length: int, device: torch.device, precision: str, seed: int
) -> dict[str, Any]:
    """What a process has to know to measure a network like this one; memory does not depend on the weights' values."""
    return {
        "config": json.loads(network.config.to_json_string(use_diff=False)),
        "attention": str(network.config._attn_implementation),
        "grouped_matmul": squeezebert.is_matmul(network),
        "batch_size": batch_size,
        "length": length,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "seed": seed,
    }


def in_own_process(asked: dict[str, Any]) -> dict[str, int]:
    """Bytes by kind as a new process finds them, or ``out_of_memory``. Raises StudyError where it fails otherwise."""
    prepare()
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(sender, asked), daemon=True)
    process.start()
    sender.close()  # the process has its own end; without ours, a process that dies ends the pipe
    try:
        found: dict[str, int] | str = receiver.recv()
    except EOFError:
        process.join()
        if process.exitcode == -signal.SIGKILL:  # what Linux does to a process when memory runs out
            return {"out_of_memory": 1}
        found = "nothing"
    process.join()
    if isinstance(found, str):
        raise StudyError(f"profile.memory: the process that measures ended with code {process.exitcode}: {found}")
    return found


def peak(asked: dict[str, Any]) -> dict[str, int]:
    """Bytes by kind, measured in this process, or ``out_of_memory``; empty where the system does not tell."""
    torch.set_num_threads(asked["threads"])
    try:
        with number_format(asked["precision"]):
            return _on_gpu(asked) if asked["device"].startswith("cuda") else _on_cpu(asked)
    except (MemoryError, RuntimeError) as error:
        if devices.out_of_memory(error):
            return {"out_of_memory": 1}
        raise


def summary(rows: Sequence[dict[str, Any]]) -> Any:
    """The rows as a table for a reader."""
    import pandas as pd

    columns = ["network", "precision", "batch", "tokens per row", "measure", "MiB"]
    return pd.DataFrame(
        [
            {
                "network": f"{row['conditions']['network']}, {row['conditions']['attention']}",
                "precision": row["conditions"]["precision"],
                "batch": row["conditions"]["batch_size"],
                "tokens per row": row["conditions"]["length"],
                "measure": row["conditions"].get("measure", "").replace("_", " "),
                "MiB": f"{row['value'] / 2**20:,.0f}" if row["unit"] == "bytes" else "out of memory",
            }
            for row in rows
        ],
        columns=columns,
    )


def _on_gpu(asked: dict[str, Any]) -> dict[str, int]:
    device = torch.device(asked["device"])
    torch.cuda.reset_peak_memory_stats(device)
    _run(_prepared(_network(asked), asked))
    torch.cuda.synchronize(device)
    return {
        "allocated": torch.cuda.max_memory_allocated(device),
        "reserved": torch.cuda.max_memory_reserved(device),
    }


def _on_cpu(asked: dict[str, Any]) -> dict[str, int]:
    if not _STATUS.exists():
        return {}
    network = _network(asked)
    baseline = _resident("VmRSS")
    call = _prepared(network, asked)
    gc.collect()
    loaded = _resident("VmRSS")
    try:
        _CLEAR.write_text("5")  # sets the high-water mark back: building is no part of answering
    except OSError:
        return {}
    _run(call)
    highest = _resident("VmHWM")
    return {"resident_above_baseline": highest - baseline, "resident_above_network": highest - loaded}


def _network(asked: dict[str, Any]) -> Any:
    """The network without memory for its weights."""
    config = AutoConfig.for_model(**asked["config"])
    config._attn_implementation = asked["attention"]
    with torch.device("meta"):
        network = networks.from_config(config)
    return squeezebert.to_matmul(network) if asked["grouped_matmul"] else network


def _prepared(network: Any, asked: dict[str, Any]) -> Forward:
    """The call, with weights and inputs in memory. All weights are 0: drawing them takes seconds and tells nothing."""
    device = torch.device(asked["device"])
    network.to_empty(device=device)
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data.zero_()
    batch = random_batch(network, asked["batch_size"], asked["length"], device, asked["seed"])
    return Forward(network, batch, asked["precision"])


def _run(call: Forward) -> None:
    for _ in range(_CALLS):
        call()


def _resident(field: str) -> int:
    """Bytes of a field of this process's status: VmRSS, resident now, or VmHWM, its high-water mark."""
    (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith(field + ":")]
    return int(line.split()[1]) * 1024


def _tell(sender: Any, asked: dict[str, Any]) -> None:
    """In the new process: send what was found, or what went wrong."""
    end_with_parent(signal.SIGKILL)
    try:
        sender.send(peak(asked))
    except Exception as error:
        sender.send(f"{type(error).__name__}: {one_line(error)}")
        raise SystemExit(1) from None


def _rows(found: dict[str, int], conditions: dict[str, Any]) -> list[dict[str, Any]]:
    """A record row for each kind of memory."""
    if "out_of_memory" in found:
        return [{"metric": "out_of_memory", "value": 1, "unit": "1", "n": 1, "conditions": conditions}]
    return [
        {"metric": "peak_memory_bytes", "value": value, "unit": "bytes", "n": 1,
         "conditions": conditions | {"measure": measure}}
        for measure, value in found.items()
    ]  # fmt: skip
