"""Peak memory of forward passes, each measured in a separate process.

The processes are forked from one that has only loaded the libraries. They measure:

On a GPU, ``allocated`` (by tensors, weights included) and ``reserved`` (what torch took from the device for them).
On a CPU, ``resident_above_baseline``: the peak resident set during passes minus the resident set before the weights
exist, with all libraries loaded. It includes weights, inputs, activations and the libraries' workspace. And
``resident_above_network``: the peak minus the resident set with weights and inputs.
"""

import gc
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
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
from qa_tradeoffs.profiling.clock import Call
from qa_tradeoffs.profiling.workloads import Setting, Subject, forward_pass, number_format, random_batch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_CALLS = 2  # the first fills caches that the second uses
Peak = dict[str, int] | None  # bytes by kind; None: out of memory
_PRELOADED = [__name__, "transformers.models.auto.modeling_auto"]


def prepare() -> None:
    """Start loading the libraries in the process from which others are forked; returns at once."""
    forkserver.set_forkserver_preload(_PRELOADED)
    forkserver.ensure_running()


def measure(subjects: Sequence[Subject], setting: Setting) -> list[Record]:
    """Every subject at every point of its memory grid; ``out_of_memory`` is a valid result."""
    points = [
        (subject, precision, size)
        for subject, precision in product(subjects, setting.formats)
        for grid in subject.memory
        for size in product(grid.batch_sizes, grid.lengths)
    ]
    progress = Progress("memory measurement", len(points))
    records = []
    for done, (subject, precision, (batch_size, length)) in enumerate(points, start=1):
        peaks = in_own_process(asked(subject.network, batch_size, length, precision, setting))
        conditions = subject.conditions(setting, precision) | {"weights": "random"}
        conditions |= {"work": "forward", "batch_size": batch_size, "length": length}
        if peaks is None:
            records.append(Record.of("out_of_memory", 1, "1", conditions=conditions))
        for kind, value in (peaks or {}).items():
            at = conditions | {"measure": kind}
            records.append(Record.of("peak_memory_bytes", value, "bytes", conditions=at))
        progress.update(done)
    return records


def asked(network: Any, batch_size: int, length: int, precision: str, setting: Setting) -> Callable[[], Peak]:
    """A picklable ``peak`` for a network like this one and a batch (batch_size, length), without the network itself."""
    rewritten, threads = squeezebert.is_matmul(network), torch.get_num_threads()
    return partial(peak, network.config, batch_size, length, precision, setting, rewritten=rewritten, threads=threads)


def in_own_process(measure: Callable[[], Peak]) -> Peak:
    """The result of ``measure`` in a new process. Raises StudyError on any failure except running out of memory."""
    prepare()
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, measure), daemon=True)
    process.start()
    sender.close()  # the child has its own copy: once ours is closed, its death ends the pipe
    try:
        answer: Peak | str = receiver.recv()
    except EOFError:
        answer = ""
    process.join()
    if not isinstance(answer, str):
        return answer
    if not answer and process.exitcode == -signal.SIGKILL:  # Linux kills a process this way when memory runs out
        return None
    raise StudyError(f"profile.memory: the measuring process ended with code {process.exitcode}: {answer}")


def peak(
    config: Any, batch_size: int, length: int, precision: str, setting: Setting, *, rewritten: bool, threads: int
) -> Peak:
    """Bytes by kind, measured in this process: empty if the system does not count them, None if memory runs out.

    ``config``: the network's, including its attention. ``rewritten``: whether it is a SqueezeBERT as matrix products.
    ``threads``: how many the process uses.
    """
    torch.set_num_threads(threads)
    with torch.device("meta"):  # weights take no memory yet, and their values do not matter
        network = networks.from_config(config, rewritten)

    def prepared() -> Call:
        """A call with weights and inputs in memory. All weights are 0, since drawing them would take seconds."""
        network.to_empty(device=setting.device)
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.data.zero_()
        return forward_pass(network, random_batch(network, batch_size, length, setting), precision)

    try:
        with number_format(precision):
            return _on_gpu(prepared, setting.device) if setting.device.type == "cuda" else _on_cpu(prepared)
    except (MemoryError, RuntimeError) as error:
        if not devices.out_of_memory(error):
            raise
        return None


def of_file(load: Callable[[], Callable[[], Call]]) -> Peak:
    """Bytes by kind for a file on a CPU, in this process: ``load`` loads libraries and returns what opens the file."""
    return _on_cpu(load())


def _on_gpu(prepared: Callable[[], Call], device: torch.device) -> Peak:
    torch.cuda.reset_peak_memory_stats(device)
    _run(prepared())
    torch.cuda.synchronize(device)
    return {
        "allocated": torch.cuda.max_memory_allocated(device),
        "reserved": torch.cuda.max_memory_reserved(device),
    }


def _on_cpu(prepared: Callable[[], Call]) -> Peak:
    if not _STATUS.exists():
        return {}
    baseline = _resident("VmRSS")
    call = prepared()
    gc.collect()
    loaded = _resident("VmRSS")
    try:
        _CLEAR.write_text("5")  # resets the high-water mark, to exclude building
    except OSError:
        return {}
    _run(call)
    highest = _resident("VmHWM")
    return {"resident_above_baseline": highest - baseline, "resident_above_network": highest - loaded}


def _run(call: Call) -> None:
    for _ in range(_CALLS):
        call()


def _resident(field: str) -> int:
    """Bytes in a field of this process's status: VmRSS, resident now, or VmHWM, its high-water mark."""
    return int(_STATUS.read_text().partition(f"\n{field}:")[2].split()[0]) * 1024  # in KiB


def _send(sender: Connection, measure: Callable[[], Peak]) -> None:
    """In the new process: send the measurement or the error."""
    end_with_parent(signal.SIGKILL)
    try:
        sender.send(measure())
    except Exception as error:
        sender.send(f"{type(error).__name__}: {one_line(error)}")
        raise SystemExit(1) from None
