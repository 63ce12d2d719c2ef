"""The time and FLOPs of a forward pass and of a training step, by class of operation.

The profiler has an overhead, mostly around short operations. So profiles give only the share of each class in a call,
and interleaved calls without the profiler give the seconds of the call. Time between operations is 'other': Python on a
CPU; on a GPU, the time in which no kernel runs.
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

# Stops the profiler from writing to standard error; read when it first starts.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")


def profiled(call: Call, device: torch.device, scores: tuple[int, ...] = ()) -> Reading:
    """One call under the profiler. ``scores``: shape of the attention scores, (rows, heads, length, length)."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds, record_shapes=True) as recorded, record_function(CALL):
        call()
        synchronize(device)
    return read(recorded.events(), device, scores)


def shares(readings: Sequence[Reading], unprofiled: Floats, device: torch.device) -> Floats:
    """The share of each class in each round's call, (n_rounds, n_classes) float64, in the order of ``CLASSES``.

    Rows sum to 1. ``unprofiled``: (n_rounds,) float64, seconds of the same call in the same rounds without profiler.
    """
    seconds = np.array([[reading.seconds[name] for name in CLASSES] for reading in readings])
    if device.type == "cuda":  # the profiler only lengthens the pauses between kernels
        seconds[:, -1] += np.maximum(0, unprofiled - seconds.sum(axis=1))
    found: Floats = seconds / seconds.sum(axis=1, keepdims=True)
    return found


def records(
    readings: Sequence[Reading], unprofiled: Floats, device: torch.device, conditions: Conditions
) -> Iterator[Record]:
    """The seconds of each class: its mean share times the seconds without the profiler.

    Arguments are as in ``shares``; intervals are of the mean share, over rounds. ``conditions`` are added to every
    record, together with the FLOPs of one call, which only products, convolutions and attention have.
    """
    total = typical(unprofiled).value
    whole = {"unprofiled_seconds": total, "profiled_seconds": typical([one.duration for one in readings]).value}
    for name, share in zip(CLASSES, shares(readings, unprofiled, device).T, strict=True):
        low, high = t_interval(share)
        interval = Interval(low=total * max(0.0, low), high=total * high, over="passes")
        at = conditions | {"operators": name, "flops": readings[0].flops[name]} | whole
        value, n = total * share.mean(), len(share)
        yield Record.of("operator_seconds", value, "s per call", n, interval=interval, conditions=at)
