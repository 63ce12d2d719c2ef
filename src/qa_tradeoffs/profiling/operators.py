"""Where the time of a forward pass and of a training step goes, by class of operation, and the FLOPs of each class."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile, record_function

from qa_tradeoffs.metrics.intervals import bootstrap_median
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.models.devices import synchronize
from qa_tradeoffs.models.dropout import dropout
from qa_tradeoffs.profiling import workloads
from qa_tradeoffs.profiling.clock import Call, alternate
from qa_tradeoffs.profiling.traces import CALL, CLASSES, Reading, read
from qa_tradeoffs.profiling.workloads import Conditions, Setting

_REPEATS = 3  # shares are steadier than seconds

# Otherwise the profiler writes to standard error when it starts and stops; read when the first one starts.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")


@dataclass(frozen=True)
class Attribution:
    """Where the time of one kind of call goes.

    ``shares``: (n_repeats, n_classes) float64, of each class in each call, in the order of ``CLASSES``. ``unprofiled``:
    (n_repeats,) float64, the seconds of calls without a profiler. ``profiled_seconds``: median of a call with it, which
    is slower. ``flops``: of one call, by class; only products, convolutions and attention have any.
    """

    shares: NDArray[np.float64]
    flops: dict[str, int]
    profiled_seconds: float
    unprofiled: NDArray[np.float64]

    @property
    def total(self) -> float:
        """Median seconds of a call without the profiler."""
        return float(np.median(self.unprofiled))

    @property
    def seconds(self) -> dict[str, float]:
        """By class: the median shares of the ``total``, to which they add up."""
        middle = np.median(self.shares, axis=0)
        return dict(zip(CLASSES, (self.total * middle / middle.sum()).tolist(), strict=True))


def measure(
    network: Any, batch_size: int, length: int, setting: Setting, conditions: Conditions, rng: np.random.Generator
) -> list[Record]:
    """The network's forward pass and training step on random tokens (batch_size, length), in one of the formats.

    ``conditions``, the 'precision' among them, go with every record.
    """
    batch, precision = workloads.random_batch(network, batch_size, length, setting), str(conditions["precision"])
    scores = (batch_size, network.config.num_attention_heads, length, length)
    measured = []
    for work, probability in (("forward", 0.0), ("training_step", dropout(network))):
        with workloads.number_format(precision):
            call = workloads.together(workloads.phases(work, network, batch, precision))
            one = attribute(call, setting.device, scores)
        size: Conditions = {"batch_size": batch_size, "length": length, "inputs": "random tokens, no padding"}
        measured += records(one, conditions | size | {"dropout": probability, "work": work}, rng)
    network.zero_grad(set_to_none=True)
    return measured


def attribute(call: Call, device: torch.device, scores: tuple[int, ...] = ()) -> Attribution:
    """Of ``call``, profiled and timed without the profiler in turn, after one of each to warm up.

    The profiler takes time for itself, mostly around short operations. So profiles only give the share of each class in
    a call (the median over repeats), and calls without it the seconds of the whole. What passes between operations is
    'other': Python on a CPU; on a GPU, the time in which no kernel runs.
    ``scores``: shape of the attention scores, (rows, heads, length, length).
    """
    readings: list[Reading] = []
    calls = {"unprofiled": call, "profiled": lambda: readings.append(_profiled(call, device, scores))}
    unprofiled = alternate(calls, device, warmup=1, rounds=_REPEATS)["unprofiled"]
    del readings[0]  # the warm-up's
    seconds = np.array([list(reading.seconds.values()) for reading in readings])  # (n_repeats, n_classes)
    if device.type == "cuda":  # kernels take as long as without the profiler, only the pauses between them grow
        seconds[:, -1] += np.maximum(0, unprofiled - seconds.sum(axis=1))
    return Attribution(
        shares=seconds / seconds.sum(axis=1, keepdims=True),
        flops=readings[0].flops,
        profiled_seconds=float(np.median([reading.duration for reading in readings])),
        unprofiled=unprofiled,
    )


def records(one: Attribution, conditions: Conditions, rng: np.random.Generator) -> list[Record]:
    """The seconds of each class; intervals are of the class's share of the whole."""
    whole: Conditions = {"unprofiled_seconds": one.total, "profiled_seconds": one.profiled_seconds}
    found = []
    for (name, seconds), shares in zip(one.seconds.items(), one.shares.T, strict=True):
        share = bootstrap_median(shares, rng)
        interval = Interval(low=share.low * one.total, high=share.high * one.total, over="passes")
        at = conditions | {"operators": name, "flops": one.flops[name]} | whole
        n = len(one.unprofiled)
        found.append(Record.of("operator_seconds", seconds, "s per call", n, interval=interval, conditions=at))
    return found


def _profiled(call: Call, device: torch.device, scores: tuple[int, ...]) -> Reading:
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds, record_shapes=True) as recorded, record_function(CALL):
        call()
        synchronize(device)
    return read(recorded.events(), device, scores)
