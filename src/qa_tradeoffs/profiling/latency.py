"""How long calls take: every point is timed a little in each of several passes over all points.

A machine's speed drifts within seconds, most of all a shared one's. A point that is timed in one go has the speed of
that moment; spread over the whole run, every point gets its share of slow and fast times, and its interval, taken over
passes, holds the drift. Compute does not depend on the values of the weights, so a network is timed before training.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from qa_tradeoffs.core.progress import Progress
from qa_tradeoffs.models import devices
from qa_tradeoffs.models import networks as models
from qa_tradeoffs.profiling.clock import Call, Repeats, energy_meter, peak_meter, repeat
from qa_tradeoffs.profiling.durations import Timing
from qa_tradeoffs.profiling.workloads import (
    Conditions,
    Forward,
    Subject,
    TrainingStep,
    dropout,
    flops,
    number_format,
    placed,
    random_batch,
)
from qa_tradeoffs.study.config import Profile, Study

_STEP_PARTS = ("forward", "backward", "optimizer")


@dataclass(frozen=True)
class Point:
    """One kind of call on one network, timed in every pass.

    ``prepare`` makes the phases of a call from the network on its device; ``parts`` names them where each is a result
    of its own beside their sum, which ``work`` names. ``warmup``: calls in each pass before the clock starts.
    ``at_least``: repeats in all passes together. ``flops``: of each part, or of the only phase; None where they are not
    counted.
    """

    subject: Subject
    precision: str
    work: str
    conditions: Conditions
    prepare: Callable[[Any], Sequence[Call]]
    warmup: int
    at_least: int
    parts: tuple[str, ...] = ()
    flops: tuple[int | None, ...] = (None,)


def precisions(study: Study, device: torch.device) -> list[str]:
    """The recipe's precision on this device, then the others that the study file names and the device has."""
    own = devices.precision(study.training.precision, device)
    has_others = devices.precision("auto", device) == "bf16"  # the GPUs with bf16 are those with tf32
    return [own, *(p for p in study.profile.precisions if p != own and (p == "fp32" or has_others))]


def grid(
    subjects: Sequence[Subject], plan: Profile, *, device: torch.device, formats: Sequence[str], seed: int
) -> list[Point]:
    """Every point of the subjects' grids in each precision.

    Inputs are random tokens without padding, drawn with ``seed``; a training step is forward, backward and an AdamW
    update, with the network's own dropout.
    """
    # A batch takes its size times the operations of one row, so each length is counted once.
    networks = {(s.name, length): s.network for s in subjects for _, _, length in _sizes(s)}
    one_row = {key: flops(network, 1, key[1]) for key, network in networks.items()}
    return [
        _grid_point(subject, precision, *size, one_row[subject.name, size[2]], plan.warmup, device, seed)
        for subject in subjects
        for precision in formats
        for size in _sizes(subject)
    ]


def measure(
    points: Sequence[Point], plan: Profile, *, device: torch.device, formats: Sequence[str]
) -> tuple[list[Timing], dict[str, float]]:
    """Time every point in each of the plan's passes; with it the machine's peak FLOP/s in each precision.

    A point's repeats are split evenly over the passes, at least one in each.
    """
    peaks, meters = dict.fromkeys(formats, 0.0), {p: peak_meter(device, p) for p in formats}
    passes: list[list[Repeats]] = [[] for _ in points]
    progress = Progress("measurement", plan.passes * len(points))
    for number in range(plan.passes):
        for i, point in enumerate(points):
            # A point for which the memory did not suffice has none from the pass before.
            if len(passes[i]) == number and (found := _one_pass(point, plan, device, passes[i])) is not None:
                passes[i].append(found)
            # Only a peak that is looked for all along bounds what was timed in between.
            peaks = {p: max(peaks[p], found) for p, found in _peaks(meters).items()}
            progress.update(number * len(points) + i + 1)
    return [timing for point, found in zip(points, passes, strict=True) for timing in _timings(point, found)], peaks


def bytes_on_disk(network: Any) -> int:
    """Bytes of the weights as safetensors."""
    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        return sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))


def size_rows(subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """Record rows of the networks' sizes; only the study's own is one that is ever stored."""
    rows = []
    for subject in (subject for subject in subjects if not subject.eager_control):
        common = {"n": 1, "conditions": {"network": subject.name, "weights": subject.weights}}
        number = models.parameters(subject.network)
        rows.append({"metric": "parameters", "value": number, "unit": "parameters", **common})
        if subject.name == "study":
            size = bytes_on_disk(subject.network)
            rows.append({"metric": "bytes_on_disk", "value": size, "unit": "bytes", **common})
    return rows


def sizes(subjects: Sequence[Subject]) -> pd.DataFrame:
    """What the networks are, for a reader."""
    return pd.DataFrame(
        [
            {"network": subject.name, "weights": subject.weights, **models.summary(subject.network)}
            for subject in subjects
            if not subject.eager_control
        ]
    )


def _sizes(subject: Subject) -> Iterator[tuple[str, int, int]]:
    """What is timed on a subject's grids: (work, batch size, length)."""
    for work, plan in (("forward", subject.forward), ("training_step", subject.training_step)):
        if plan is not None:
            yield from ((work, batch_size, length) for batch_size in plan.batch_sizes for length in plan.lengths)


def _grid_point(
    subject: Subject, precision: str, work: str, batch_size: int, length: int, one_row: tuple[int, int],
    warmup: int, device: torch.device, seed: int,
) -> Point:  # fmt: skip
    """A forward pass, or a training step with its three parts."""
    training = work == "training_step"

    def prepare(network: Any) -> list[Call]:
        batch = random_batch(network, batch_size, length, device, seed)
        if not training:
            return [Forward(network, batch, precision)]
        step = TrainingStep(network, batch, precision)
        return [step.forward, step.backward, step.optimizer]

    conditions: Conditions = {
        **subject.conditions(device, precision),
        "batch_size": batch_size,
        "length": length,
        "dropout": dropout(subject.network) if training else 0.0,
        "inputs": "random tokens, no padding",
    }
    forward, backward = (batch_size * operations for operations in one_row)
    return Point(
        subject, precision, work, conditions, prepare, warmup, subject.min_repeats,
        parts=_STEP_PARTS if training else (), flops=(forward, backward, None) if training else (forward,),
    )  # fmt: skip


def _one_pass(point: Point, plan: Profile, device: torch.device, before: Sequence[Repeats]) -> Repeats | None:
    """This pass's repeats, as many as in those ``before``; None where memory does not suffice."""
    at_least = len(before[0].seconds) if before else math.ceil(point.at_least / plan.passes)
    for_seconds = 0.0 if before else plan.min_seconds / plan.passes
    try:
        with placed(point.subject, device) as network, number_format(point.precision):
            return repeat(
                point.prepare(network), device, warmup=point.warmup, at_least=at_least, for_seconds=for_seconds,
                meter=energy_meter(device),
            )  # fmt: skip
    except torch.OutOfMemoryError:
        return None


def _timings(point: Point, passes: Sequence[Repeats]) -> list[Timing]:
    """The timing of a point, and those of its parts."""
    if not passes:
        return [Timing(point.work, np.empty((0, 0)), point.conditions)]
    seconds = np.stack([found.seconds for found in passes])  # (passes, repeats, phases)
    counted = [n for n in point.flops if n is not None]
    joules = [found.joules for found in passes if found.joules is not None]
    total = Timing(
        point.work, seconds.sum(axis=2), point.conditions,
        flops=sum(counted) if counted else None, joules=float(np.mean(joules)) if joules else None,
    )  # fmt: skip
    return [total] + [
        Timing(f"training_{part}", seconds[:, :, i], point.conditions, point.flops[i])
        for i, part in enumerate(point.parts)
    ]


def _peaks(meters: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    peaks = {}
    for precision, measure in meters.items():
        with number_format(precision):
            peaks[precision] = measure()
    return peaks
