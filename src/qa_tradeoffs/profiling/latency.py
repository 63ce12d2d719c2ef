"""Latency of calls: each of several passes over all points times every point briefly.

A machine's speed drifts within seconds, especially if it is shared. A point timed in one go shows the speed of that
moment. Spread over the whole run, it is timed in slow and fast moments, and its interval over passes covers the drift.
Compute time does not depend on the values of the weights, so a network is timed before training.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.core.progress import Progress
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.metrics.timing import supports_percentile
from qa_tradeoffs.models import devices, inputs
from qa_tradeoffs.models.counting import UncountedError, flops
from qa_tradeoffs.models.dropout import dropout
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.profiling import workloads
from qa_tradeoffs.profiling.clock import Call, Repeats, energy_meter, peak_meter, repeat
from qa_tradeoffs.profiling.workloads import Conditions, Setting, Subject
from qa_tradeoffs.study.config import Profile


@dataclass(frozen=True)
class Point:
    """One kind of call on one network, timed in every pass.

    ``prepare`` makes the phases of a call from the network on its device. ``at_least``: repeats over all passes.
    ``warmup``: untimed calls in each pass. ``flops``: of a call, None if not counted. ``parts``: the FLOP of each phase
    by name, if phases are reported separately besides their sum.
    """

    subject: Subject
    work: str
    conditions: Conditions
    prepare: Callable[[Any], Sequence[Call]]
    at_least: int
    warmup: int = 0
    flops: int | None = None
    parts: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Timing:
    """The timings of one kind of call.

    ``seconds``: (n_passes, n_repeats) float64, one value per call; empty if memory ran out. ``flops``: per call, None
    if not counted. ``joules``: mean per call, None without a meter.
    """

    work: str
    seconds: NDArray[np.float64]
    conditions: Conditions
    flops: int | None = None
    joules: float | None = None

    @property
    def median(self) -> float:
        """Median seconds per call."""
        return float(np.median(self.seconds))

    def share(self, peaks: dict[str, float]) -> float | None:
        """Achieved FLOP/s over the machine's peak in the same precision; above 1 the measurement is invalid."""
        if self.flops is None or not self.seconds.size:
            return None
        return self.flops / self.median / peaks[str(self.conditions["precision"])]


def grid(subject: Subject, plan: Profile, setting: Setting) -> list[Point]:
    """Every point of the plan's grids in each precision.

    Inputs are random tokens without padding; a training step is forward, backward and an AdamW update with the
    network's own dropout.
    """
    points = []
    counted_once = cache(_operations)
    for precision in setting.formats:
        for work, sizes in (("forward", plan.forward), ("training_step", plan.training_step)):
            training = work == "training_step"
            longest = None if work in plan.model_fields_set else inputs.of(subject.network).longest
            lengths = dict.fromkeys(min(length, longest or length) for length in sizes.lengths)
            for batch_size, length in product(sizes.batch_sizes, lengths):
                counted = counted_once(subject.network, batch_size, length)
                conditions: Conditions = {
                    **subject.conditions(setting, precision),
                    "batch_size": batch_size,
                    "length": length,
                    "dropout": dropout(subject.network) if training else 0.0,
                    "inputs": "random tokens, no padding",
                }
                if isinstance(counted, str):
                    conditions["flops_missing"] = counted
                    forward = backward = whole = None
                else:
                    forward, backward = counted
                    whole = forward + backward
                prepare = partial(_prepare, work, batch_size, length, precision, setting)
                point = Point(subject, work, conditions, prepare, plan.min_repeats, plan.warmup, flops=forward)
                if training:
                    parts = {"forward": forward, "backward": backward, "optimizer": None}
                    point = replace(point, flops=whole, parts=parts)
                points.append(point)
    return points


def measure(points: Sequence[Point], plan: Profile, setting: Setting) -> tuple[list[Timing], dict[str, float]]:
    """Time every point in each of the plan's passes; also return the machine's peak FLOP/s in each precision.

    A point's repeats are split evenly over the passes, at least one in each.
    """
    peaks = dict.fromkeys(setting.formats, 0.0)
    meters = {precision: peak_meter(setting.device, precision) for precision in peaks}
    passes: list[list[Repeats]] = [[] for _ in points]
    progress = Progress("measurement", plan.passes * len(points))
    for number in range(plan.passes):
        for i, point in enumerate(points):
            # A point that ran out of memory in one pass is skipped in later ones.
            if len(passes[i]) == number and (repeats := _one_pass(point, plan, setting.device, passes[i])) is not None:
                passes[i].append(repeats)
            # Only a peak measured throughout the run bounds the timings in between.
            for precision, measure_peak in meters.items():
                with workloads.number_format(precision):
                    peaks[precision] = max(peaks[precision], measure_peak())
            progress.update(number * len(points) + i + 1)
    return [timing for point, repeats in zip(points, passes, strict=True) for timing in _timings(point, repeats)], peaks


def records(timings: Sequence[Timing], peaks: dict[str, float]) -> list[Record]:
    """Each timing's median with its interval, the percentiles that n supports, energy if metered; and the peaks."""
    inputs = "product of two square matrices, best of several"
    return [record for timing in timings for record in _records(timing, peaks)] + [
        Record.of("peak_flops_per_second", peak, "FLOP/s", conditions={"precision": precision, "inputs": inputs})
        for precision, peak in peaks.items()
    ]


def write(timings: Sequence[Timing], path: Path) -> None:
    """Write every raw value as parquet: work, pass, repeat, seconds, and the conditions as columns."""
    frames = []
    for timing in timings:
        if timing.seconds.size:
            number, repeat = np.indices(timing.seconds.shape).reshape(2, -1)
            columns = {"pass": number, "repeat": repeat, "seconds": timing.seconds.ravel()}
            frames.append(pd.DataFrame({"work": timing.work, **timing.conditions, **columns}))
    with written_atomically(path) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, write_page_checksum=True)


def size_records(subjects: Sequence[Subject]) -> list[Record]:
    """The networks' sizes; only the study's own network is stored and so has a size on disk."""
    records = []
    for subject in subjects:
        record = partial(Record.of, conditions={"network": subject.name, "weights": subject.weights})
        records.append(record("parameters", subject.network.num_parameters(), "parameters"))
        if subject.name == "study":
            records.append(record("bytes_on_disk", _bytes_on_disk(subject.network), "bytes"))
    return records


def _operations(network: Any, batch_size: int, length: int) -> tuple[int, int] | str:
    """FLOP of a batch, forward and backward, or the reason why they cannot be counted."""
    try:
        return flops(network, batch_size, length)
    except UncountedError as error:
        return str(error)


def _prepare(work: str, batch_size: int, length: int, precision: str, setting: Setting, network: Any) -> Sequence[Call]:
    return workloads.phases(work, network, workloads.random_batch(network, batch_size, length, setting), precision)


def _bytes_on_disk(network: Any) -> int:
    """Bytes of the weights as safetensors."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        network.save_pretrained(folder)
        return sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))


def _one_pass(point: Point, plan: Profile, device: torch.device, before: Sequence[Repeats]) -> Repeats | None:
    """This pass's repeats, as many as in earlier passes ``before``; None if memory runs out."""
    at_least = len(before[0].seconds) if before else math.ceil(point.at_least / plan.passes)
    for_seconds = 0.0 if before else plan.min_seconds / plan.passes
    try:
        with (
            workloads.placed(point.subject, device) as network,
            workloads.number_format(str(point.conditions["precision"])),
        ):
            phases, meter = point.prepare(network), energy_meter(device)
            return repeat(phases, device, warmup=point.warmup, at_least=at_least, for_seconds=for_seconds, meter=meter)
    except (MemoryError, RuntimeError) as error:
        if not devices.out_of_memory(error):
            raise
        return None


def _timings(point: Point, passes: Sequence[Repeats]) -> list[Timing]:
    """The timings of a point and of its parts."""
    if not passes:
        return [Timing(point.work, np.empty((0, 0)), point.conditions)]
    seconds = np.stack([repeats.seconds for repeats in passes])  # (passes, repeats, phases)
    metered = [repeats.joules for repeats in passes if repeats.joules is not None]
    joules = float(np.mean(metered)) if metered else None
    whole = Timing(point.work, seconds.sum(axis=2), point.conditions, point.flops, joules)
    return [whole] + [
        Timing(f"training_{name}", seconds[:, :, i], point.conditions, operations)
        for i, (name, operations) in enumerate(point.parts.items())
    ]


def _records(timing: Timing, peaks: dict[str, float]) -> Iterator[Record]:
    if not timing.seconds.size:
        yield Record.of("out_of_memory", 1, "1", conditions=timing.conditions | {"work": timing.work})
        return
    share = timing.share(peaks)
    checked: Conditions = {} if share is None else {"flops": timing.flops, "share_of_peak": share, "valid": share <= 1}
    conditions = timing.conditions | checked
    unit = "s per question" if timing.work == "phase" else "s per call"
    metric, n = f"{timing.work}_seconds", timing.seconds.size
    yield Record.median(metric, timing.seconds, unit, conditions=conditions)
    for q in (q for q in (90, 99) if supports_percentile(q, n)):
        yield Record.of(f"{metric}_p{q}", np.percentile(timing.seconds, q), unit, n, conditions=conditions)
    if timing.joules is not None:
        yield Record.of(f"{timing.work}_joules", timing.joules, "J per call", n, conditions=conditions)
