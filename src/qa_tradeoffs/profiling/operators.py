"""Where the time of a forward pass and of a training step goes, by class of operation, and the FLOPs of each class."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile, record_function

from qa_tradeoffs.metrics.intervals import bootstrap_median
from qa_tradeoffs.metrics.records import Interval, Record
from qa_tradeoffs.models.devices import synchronize
from qa_tradeoffs.models.dropout_rates import dropout
from qa_tradeoffs.profiling.clock import Call, alternate
from qa_tradeoffs.profiling.traces import CALL, CLASSES, Reading, read
from qa_tradeoffs.profiling.workloads import (
    Conditions,
    Forward,
    Setting,
    TrainingStep,
    number_format,
    random_batch,
)

# Otherwise the profiler writes to standard error when it starts and stops; read when the first one starts.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")


@dataclass(frozen=True)
class Attribution:
    """Where the time of one kind of call goes.

    ``shares``: (n_repeats, n_classes) float64, of each class in each call, in the order of ``CLASSES``. ``unprofiled``:
    (n_repeats,) float64, the seconds of calls without a profiler. ``profiled_seconds``: median of a call with it, which
    is slower. ``flops``: of one call, by class; only products, convolutions and attention have any.
    """

    work: str
    shares: NDArray[np.float64]
    flops: dict[str, int]
    profiled_seconds: float
    unprofiled: NDArray[np.float64]
    conditions: Conditions = field(default_factory=dict)

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
    network: Any, batch_size: int, length: int, *, precision: str, repeats: int, setting: Setting,
    conditions: Conditions,
) -> list[Attribution]:  # fmt: skip
    """The network's forward pass and training step on random tokens (batch_size, length); both get ``conditions``."""
    batch = random_batch(network, batch_size, length, setting.device, setting.seed)
    scores = (batch_size, network.config.num_attention_heads, length, length)
    at: Conditions = {
        "precision": precision,
        "batch_size": batch_size,
        "length": length,
        "inputs": "random tokens, no padding",
    }
    attributions = []
    for work, kind, probability in (("forward", Forward, 0.0), ("training_step", TrainingStep, dropout(network))):
        with number_format(precision):
            call = kind(network, batch, precision)
            one = attribute(call, setting.device, work=work, repeats=repeats, scores=scores)
        attributions.append(replace(one, conditions=conditions | at | {"dropout": probability}))
    network.zero_grad(set_to_none=True)
    return attributions


def attribute(
    call: Call, device: torch.device, *, work: str, repeats: int, scores: tuple[int, ...] = ()
) -> Attribution:
    """Of ``call``, profiled and timed without the profiler in turn, after one of each to warm up.

    The profiler takes time for itself, mostly around short operations. So profiles only give the share of each class in
    a call (the median over repeats), and calls without it the seconds of the whole. What passes between operations is
    'other': Python on a CPU; on a GPU, the time in which no kernel runs.
    ``scores``: shape of the attention scores, (rows, heads, length, length).
    """
    readings: list[Reading] = []
    calls = {"unprofiled": call, "profiled": lambda: readings.append(_profiled(call, device, scores))}
    unprofiled = alternate(calls, device, warmup=1, rounds=repeats)["unprofiled"]
    del readings[0]  # the warm-up's
    return Attribution(
        work=work,
        shares=np.array([_shares(reading, total, device) for reading, total in zip(readings, unprofiled, strict=True)]),
        flops=readings[0].flops,
        profiled_seconds=float(np.median([reading.duration for reading in readings])),
        unprofiled=unprofiled,
    )


def records(attributions: Sequence[Attribution], rng: np.random.Generator) -> list[Record]:
    """The seconds of each class of each call; intervals are of the class's share of the whole."""
    return [_record(one, i, rng) for one in attributions for i in range(len(CLASSES))]


def _record(one: Attribution, i: int, rng: np.random.Generator) -> Record:
    name = CLASSES[i]
    share = bootstrap_median(one.shares[:, i], rng)
    conditions = one.conditions | {
        "work": one.work,
        "operators": name,
        "flops": one.flops[name],
        "unprofiled_seconds": one.total,
        "profiled_seconds": one.profiled_seconds,
    }
    return Record.of(
        "operator_seconds",
        one.seconds[name],
        "s per call",
        len(one.unprofiled),
        interval=Interval(low=share.low * one.total, high=share.high * one.total, over="passes"),
        conditions=conditions,
    )


def _profiled(call: Call, device: torch.device, scores: tuple[int, ...]) -> Reading:
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds, record_shapes=True) as recorded, record_function(CALL):
        call()
        synchronize(device)
    return read(recorded.events(), device, scores)


def _shares(reading: Reading, total: float, device: torch.device) -> NDArray[np.float64]:
    """Of each class in a call, which took ``total`` seconds without the profiler."""
    seconds = np.array(list(reading.seconds.values()))
    if device.type == "cuda":  # kernels take as long as without the profiler, only the pauses between them grow
        seconds[-1] += max(0.0, total - seconds.sum())
    shares: NDArray[np.float64] = seconds / seconds.sum()
    return shares
