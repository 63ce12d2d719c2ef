"""Where the time of a forward pass and of a training step goes, by class of operation, and the FLOPs of each class.

The profiler takes time for itself, mostly around short operations. So profiles only give the share of each class in a
call, and calls without it, made in turn with those, the seconds of the whole. What passes between operations is
'other': Python on a CPU; on a GPU, the time in which no kernel runs.
"""

import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from qa_tradeoffs.metrics.intervals import Floats, t_interval
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.metrics.timing import typical
from qa_tradeoffs.models.devices import synchronize
from qa_tradeoffs.profiling.clock import Call
from qa_tradeoffs.profiling.traces import CALL, CLASSES, Reading, read
from qa_tradeoffs.profiling.workloads import Conditions

# Otherwise the profiler writes to standard error when it starts and stops; read when the first one starts.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")


def profiled(call: Call, device: torch.device, scores: tuple[int, ...] = ()) -> Reading:
    """Calls it once under the profiler. ``scores``: shape of the attention scores, (rows, heads, length, length)."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds, record_shapes=True) as recorded, record_function(CALL):
        call()
        synchronize(device)
    return read(recorded.events(), device, scores)


def shares(readings: Sequence[Reading], unprofiled: Floats, device: torch.device) -> Floats:
    """Of each class in each round's call, (n_rounds, n_classes) float64, in the order of ``CLASSES``; rows sum to 1.

    ``unprofiled``: (n_rounds,) float64, seconds of the same call in the same rounds without the profiler.
    """
    seconds = np.array([[reading.seconds[name] for name in CLASSES] for reading in readings])
    if device.type == "cuda":  # kernels take as long as without the profiler, only the pauses between them grow
        seconds[:, -1] += np.maximum(0, unprofiled - seconds.sum(axis=1))
    found: Floats = seconds / seconds.sum(axis=1, keepdims=True)
    return found


def records(
    readings: Sequence[Reading], unprofiled: Floats, device: torch.device, conditions: Conditions
) -> Iterator[Record]:
    """The seconds of each class: its mean share of the seconds without the profiler, to which they add up.

    Arguments are those of ``shares``; intervals are of the mean share, over rounds. ``conditions`` go with every
    record, and with them the FLOPs of one call, which only products, convolutions and attention have.
    """
    total = typical(unprofiled).value
    whole = {"unprofiled_seconds": total, "profiled_seconds": typical([one.duration for one in readings]).value}
    for name, share in zip(CLASSES, shares(readings, unprofiled, device).T, strict=True):
        low, high = t_interval(share)
        interval = Interval(low=total * max(0.0, low), high=total * high, over="passes")
        at = conditions | {"operators": name, "flops": readings[0].flops[name]} | whole
        value, n = total * share.mean(), len(share)
        yield Record.of("operator_seconds", value, "s per call", n, interval=interval, conditions=at)
