"""How long calls take: every point is timed a little in each of several passes over all points.

A machine's speed drifts within seconds, most of all a shared one's. A point that is timed in one go has the speed of
that moment; spread over the whole run, every point gets its share of slow and fast times, and its interval, taken over
passes, holds the drift. Compute does not depend on the values of the weights, so a network is timed before training.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from qa_tradeoffs.core.progress import Progress
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.models import networks
from qa_tradeoffs.models.counting import UncountedError, flops
from qa_tradeoffs.models.dropout_rates import dropout
from qa_tradeoffs.models.quiet import quiet
from qa_tradeoffs.profiling.clock import Call, Repeats, energy_meter, peak_meter, repeat
from qa_tradeoffs.profiling.durations import Timing
from qa_tradeoffs.profiling.workloads import (
    Conditions,
    Forward,
    Setting,
    Subject,
    TrainingStep,
    number_format,
    placed,
    random_batch,
)
from qa_tradeoffs.study.config import Profile


@dataclass(frozen=True)
class Point:
    """One kind of call on one network, timed in every pass.

    ``prepare`` makes the phases of a call from the network on its device. ``warmup``: calls in each pass before the
    clock starts. ``at_least``: repeats in all passes together. ``flops``: of a call, None where they are not counted.
    ``parts``: the FLOP of each phase by its name, where each phase is a result of its own beside their sum.
    """

    subject: Subject
    work: str
    conditions: Conditions
    prepare: Callable[[Any], Sequence[Call]]
    warmup: int
    at_least: int
    flops: int | None = None
    parts: Mapping[str, int | None] = field(default_factory=dict)


class _Size(NamedTuple):
    """What is timed at one point of a grid."""

    work: str
    batch_size: int
    length: int


def grid(subjects: Sequence[Subject], plan: Profile, setting: Setting) -> list[Point]:
    """Every point of the subjects' grids in each precision.

    Inputs are random tokens without padding; a training step is forward, backward and an AdamW update, with the
    network's own dropout.
    """
    # A batch takes its size times the operations of one row, so each length is counted once.
    lengths = {(subject.name, size.length): subject.network for subject in subjects for size in _sizes(subject)}
    one_row = {(name, length): _operations(network, length) for (name, length), network in lengths.items()}
    return [
        _grid_point(subject, precision, size, one_row[subject.name, size.length], plan.warmup, setting)
        for subject in subjects
        for precision in setting.formats
        for size in _sizes(subject)
    ]


def measure(points: Sequence[Point], plan: Profile, setting: Setting) -> tuple[list[Timing], dict[str, float]]:
    """Time every point in each of the plan's passes; with it the machine's peak FLOP/s in each precision.

    A point's repeats are split evenly over the passes, at least one in each.
    """
    peaks = dict.fromkeys(setting.formats, 0.0)
    meters = {precision: peak_meter(setting.device, precision) for precision in setting.formats}
    passes: list[list[Repeats]] = [[] for _ in points]
    progress = Progress("measurement", plan.passes * len(points))
    for number in range(plan.passes):
        for i, point in enumerate(points):
            # A point that ran out of memory in one pass is not tried again.
            if len(passes[i]) == number and (repeats := _one_pass(point, plan, setting.device, passes[i])) is not None:
                passes[i].append(repeats)
            # Only a peak that is looked for all along bounds what was timed in between.
            peaks = {precision: max(peaks[precision], peak) for precision, peak in _peaks(meters).items()}
            progress.update(number * len(points) + i + 1)
    return [timing for point, repeats in zip(points, passes, strict=True) for timing in _timings(point, repeats)], peaks


def bytes_on_disk(network: Any) -> int:
    """Bytes of the weights as safetensors."""
    with tempfile.TemporaryDirectory() as folder:
        with quiet():
            network.save_pretrained(folder)
        return sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))


def size_records(subjects: Sequence[Subject]) -> list[Record]:
    """The networks' sizes; only the study's own has one on disk, as no other is ever stored."""
    records = []
    for subject in (subject for subject in subjects if not subject.eager_control):
        conditions: Conditions = {"network": subject.name, "weights": subject.weights}
        parameters = networks.parameters(subject.network)
        records.append(Record.of("parameters", parameters, "parameters", conditions=conditions))
        if subject.name == "study":
            size = bytes_on_disk(subject.network)
            records.append(Record.of("bytes_on_disk", size, "bytes", conditions=conditions))
    return records


def sizes(subjects: Sequence[Subject]) -> pd.DataFrame:
    """What the networks are, for a reader."""
    return pd.DataFrame(
        [
            {"network": subject.name, "weights": subject.weights, **networks.summary(subject.network)}
            for subject in subjects
            if not subject.eager_control
        ]
    )


def _sizes(subject: Subject) -> Iterator[_Size]:
    """The points of a subject's grids."""
    for work, plan in (("forward", subject.forward), ("training_step", subject.training_step)):
        if plan is not None:
            yield from (_Size(work, batch_size, length) for batch_size in plan.batch_sizes for length in plan.lengths)


def _operations(network: Any, length: int) -> tuple[int, int] | str:
    """FLOP of a row, forward and backward, or why they are not known: no reason to measure nothing."""
    try:
        return flops(network, 1, length)
    except UncountedError as error:
        return str(error)


def _grid_point(
    subject: Subject, precision: str, size: _Size, one_row: tuple[int, int] | str, warmup: int, setting: Setting
) -> Point:
    """A forward pass, or a training step with its three parts; ``one_row``: as of ``_operations``."""
    training = size.work == "training_step"

    def prepare(network: Any) -> list[Call]:
        batch = random_batch(network, size.batch_size, size.length, setting.device, setting.seed)
        if not training:
            return [Forward(network, batch, precision)]
        step = TrainingStep(network, batch, precision)
        return [step.forward, step.backward, step.optimizer]

    conditions: Conditions = {
        **subject.conditions(setting.device, precision),
        "batch_size": size.batch_size,
        "length": size.length,
        "dropout": dropout(subject.network) if training else 0.0,
        "inputs": "random tokens, no padding",
    }
    forward = backward = whole = None
    if isinstance(one_row, str):
        conditions["flops_missing"] = one_row
    else:
        forward, backward = (size.batch_size * operations for operations in one_row)
        whole = forward + backward if training else forward
    parts = {"forward": forward, "backward": backward, "optimizer": None} if training else {}
    return Point(subject, size.work, conditions, prepare, warmup, subject.min_repeats, whole, parts)


def _one_pass(point: Point, plan: Profile, device: torch.device, before: Sequence[Repeats]) -> Repeats | None:
    """This pass's repeats, as many as in those ``before``; None where memory does not suffice."""
    at_least = len(before[0].seconds) if before else math.ceil(point.at_least / plan.passes)
    for_seconds = 0.0 if before else plan.min_seconds / plan.passes
    try:
        with placed(point.subject, device) as network, number_format(str(point.conditions["precision"])):
            phases, meter = point.prepare(network), energy_meter(device)
            return repeat(phases, device, warmup=point.warmup, at_least=at_least, for_seconds=for_seconds, meter=meter)
    except torch.OutOfMemoryError:
        return None


def _timings(point: Point, passes: Sequence[Repeats]) -> list[Timing]:
    """The timing of a point, and those of its parts."""
    if not passes:
        return [Timing(point.work, np.empty((0, 0)), point.conditions)]
    seconds = np.stack([repeats.seconds for repeats in passes])  # (passes, repeats, phases)
    metered = [repeats.joules for repeats in passes if repeats.joules is not None]
    joules = float(np.mean(metered)) if metered else None
    return [Timing(point.work, seconds.sum(axis=2), point.conditions, point.flops, joules)] + [
        Timing(f"training_{name}", seconds[:, :, i], point.conditions, operations)
        for i, (name, operations) in enumerate(point.parts.items())
    ]


def _peaks(meters: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    peaks = {}
    for precision, measure in meters.items():
        with number_format(precision):
            peaks[precision] = measure()
    return peaks
