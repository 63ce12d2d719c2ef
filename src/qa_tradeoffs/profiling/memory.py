"""The most memory that forward passes take, each measured in a process of its own.

The processes are forked from one that has loaded the libraries and nothing else. They measure:

On a GPU, ``allocated`` (in tensors, weights included) and ``reserved`` (what torch took from the device for them).
On a CPU, ``resident_above_baseline``: the highest resident set while passes run, less that of the process before the
weights exist, with all libraries loaded; weights, inputs, activations and the libraries' work space are in it. And
``resident_above_network``: the same, less the resident set with weights and inputs.
"""

import gc
import multiprocessing
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from qa_tradeoffs.core.documents import one_line
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.locks import end_with_parent
from qa_tradeoffs.core.progress import Progress
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import devices, networks, squeezebert
from qa_tradeoffs.profiling.workloads import Conditions, Forward, Setting, Subject, number_format, random_batch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_CALLS = 2  # the first one fills caches that the second one needs
_PRELOADED = [__name__, "transformers.models.auto.modeling_auto"]
_OUT_OF_MEMORY = {"out_of_memory": 1}


@dataclass(frozen=True)
class Request:
    """The forward passes that a process measures: memory does not depend on the values of the weights.

    ``config``: the network's, with its attention. ``rewritten``: it is a SqueezeBERT as matrix products. ``threads``:
    how many the process computes with.
    """

    config: Any
    rewritten: bool
    batch_size: int
    length: int
    precision: str
    device: torch.device
    threads: int
    seed: int


def prepare() -> None:
    """Begin to load the libraries in the process that those which measure are forked from; returns at once."""
    forkserver.set_forkserver_preload(_PRELOADED)
    forkserver.ensure_running()


def measure(subjects: Sequence[Subject], setting: Setting) -> list[Record]:
    """Every subject at every point of its memory grid; ``out_of_memory`` is a result like others."""
    points = [
        (subject, request(subject.network, batch_size, length, precision, setting))
        for subject in subjects
        for precision in setting.formats
        for grid in subject.memory
        for batch_size in grid.batch_sizes
        for length in grid.lengths
    ]
    progress = Progress("memory measurement", len(points))
    records = []
    for done, (subject, point) in enumerate(points, start=1):
        conditions = subject.conditions(setting.device, point.precision) | {"weights": "random"}
        conditions |= {"work": "forward", "batch_size": point.batch_size, "length": point.length}
        records += _records(in_own_process(point), conditions)
        progress.update(done)
    return records


def request(network: Any, batch_size: int, length: int, precision: str, setting: Setting) -> Request:
    """For a network like this one and a batch (batch_size, length)."""
    rewritten, threads = squeezebert.is_matmul(network), torch.get_num_threads()
    return Request(network.config, rewritten, batch_size, length, precision, setting.device, threads, setting.seed)


def in_own_process(request: Request) -> dict[str, int]:
    """Bytes by kind, measured in a new process, or ``out_of_memory``. Raises StudyError where it fails otherwise."""
    prepare()
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_peak, args=(sender, request), daemon=True)
    process.start()
    sender.close()  # the process has its own end; without ours, a process that dies ends the pipe
    try:
        answer: dict[str, int] | str = receiver.recv()
    except EOFError:
        answer = ""
    process.join()
    if isinstance(answer, dict):
        return answer
    if not answer and process.exitcode == -signal.SIGKILL:  # what Linux does to a process when memory runs out
        return _OUT_OF_MEMORY
    raise StudyError(f"profile.memory: the process that measures ended with code {process.exitcode}: {answer}")


def peak(request: Request) -> dict[str, int]:
    """Bytes by kind, measured in this process, or ``out_of_memory``; empty where the system does not count them."""
    torch.set_num_threads(request.threads)
    try:
        with number_format(request.precision):
            return _on_gpu(request) if request.device.type == "cuda" else _on_cpu(request)
    except (MemoryError, RuntimeError) as error:
        if devices.out_of_memory(error):
            return _OUT_OF_MEMORY
        raise


def summary(records: Sequence[Record]) -> Any:
    """The records as a table for a reader."""
    import pandas as pd  # here, so that the processes that measure do not load it

    columns = ["network", "precision", "batch", "tokens per row", "measure", "MiB"]
    return pd.DataFrame([_summary(record) for record in records], columns=columns)


def _on_gpu(request: Request) -> dict[str, int]:
    torch.cuda.reset_peak_memory_stats(request.device)
    _run(_prepared(_network(request), request))
    torch.cuda.synchronize(request.device)
    return {
        "allocated": torch.cuda.max_memory_allocated(request.device),
        "reserved": torch.cuda.max_memory_reserved(request.device),
    }


def _on_cpu(request: Request) -> dict[str, int]:
    if not _STATUS.exists():
        return {}
    network = _network(request)
    baseline = _resident("VmRSS")
    call = _prepared(network, request)
    gc.collect()
    loaded = _resident("VmRSS")
    try:
        _CLEAR.write_text("5")  # sets the high-water mark back: building is no part of answering
    except OSError:
        return {}
    _run(call)
    highest = _resident("VmHWM")
    return {"resident_above_baseline": highest - baseline, "resident_above_network": highest - loaded}


def _network(request: Request) -> Any:
    """The network without memory for its weights."""
    with torch.device("meta"):
        network = networks.from_config(request.config)
    return squeezebert.to_matmul(network) if request.rewritten else network


def _prepared(network: Any, request: Request) -> Forward:
    """The call, with weights and inputs in memory. All weights are 0: drawing them takes seconds for nothing."""
    network.to_empty(device=request.device)
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data.zero_()
    batch = random_batch(network, request.batch_size, request.length, request.device, request.seed)
    return Forward(network, batch, request.precision)


def _run(call: Forward) -> None:
    for _ in range(_CALLS):
        call()


def _resident(field: str) -> int:
    """Bytes of a field of this process's status: VmRSS, resident now, or VmHWM, its high-water mark."""
    (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith(field + ":")]
    return int(line.split()[1]) * 1024


def _send_peak(sender: Connection, request: Request) -> None:
    """In the new process: send its ``peak``, or what went wrong."""
    end_with_parent(signal.SIGKILL)
    try:
        sender.send(peak(request))
    except Exception as error:
        sender.send(f"{type(error).__name__}: {one_line(error)}")
        raise SystemExit(1) from None


def _records(peaks: dict[str, int], conditions: Conditions) -> list[Record]:
    """A record for each kind of memory."""
    if peaks == _OUT_OF_MEMORY:
        return [Record.of("out_of_memory", 1, "1", conditions=conditions)]
    return [
        Record.of("peak_memory_bytes", value, "bytes", conditions=conditions | {"measure": measure})
        for measure, value in peaks.items()
    ]


def _summary(record: Record) -> dict[str, Any]:
    at = record.conditions
    return {
        "network": f"{at['network']}, {at['attention']}",
        "precision": at["precision"],
        "batch": at["batch_size"],
        "tokens per row": at["length"],
        "measure": str(at.get("measure", "")).replace("_", " "),
        "MiB": f"{record.value / 2**20:,.0f}" if record.unit == "bytes" else "out of memory",
    }
