"""How long a forward pass and a training step take on a grid of batch sizes and lengths, and how near to the peak.

Compute does not depend on the values of the weights, so a network is timed as it is before training.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from qa_tradeoffs import device as devices
from qa_tradeoffs import models
from qa_tradeoffs.clock import Call, Repeats, energy_meter, peak_flops, repeat
from qa_tradeoffs.config import Grid, Profile, Study
from qa_tradeoffs.errors import StudyError
from qa_tradeoffs.intervals import bootstrap_median
from qa_tradeoffs.paths import written_atomically
from qa_tradeoffs.progress import Progress
from qa_tradeoffs.workloads import (
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

_STEP_PARTS = ("forward", "backward", "optimizer")
_UNITS = {"single_stream": "s per question", "offline": "s per pass", "phase": "s per question"}


@dataclass(frozen=True)
class Timing:
    """One kind of call, timed again and again.

    ``seconds``: (n_repeats,) float64, one value a call; empty where the memory did not suffice. ``flops``: of one call,
    None where they were not counted. ``joules``: mean of one call, None where nothing meters it.
    """

    work: str
    seconds: NDArray[np.float64]
    conditions: Conditions
    flops: int | None = None
    joules: float | None = None

    @property
    def median(self) -> float:
        """Median seconds of a call."""
        return float(np.median(self.seconds))

    def share(self, peaks: dict[str, float]) -> float | None:
        """Achieved FLOP/s over the machine's peak in the same precision; above 1, the measurement is wrong."""
        if self.flops is None or not len(self.seconds):
            return None
        return self.flops / self.median / peaks[str(self.conditions["precision"])]


def precisions(study: Study, device: torch.device) -> list[str]:
    """The recipe's precision on this device, then the others that the study file names and the device has."""
    own = devices.precision(study.training.precision, device)
    has_others = devices.precision("auto", device) == "bf16"  # the GPUs with bf16 are those with tf32
    return [own, *(p for p in study.profile.precisions if p != own and (p == "fp32" or has_others))]


def measure(
    subjects: Sequence[Subject], plan: Profile, *, device: torch.device, formats: Sequence[str], seed: int
) -> tuple[list[Timing], dict[str, float]]:
    """Time every subject at every point of its grids in each precision; with it the machine's peak FLOP/s in each.

    Inputs are random tokens without padding, drawn with ``seed``; a training step is forward, backward and an AdamW
    update, with the network's own dropout. Raises StudyError for a length that a network does not take.
    """
    for subject in subjects:
        _check_lengths(subject)
    peaks = _peaks(device, formats)
    points = [(s, p, *point) for s in subjects for p in formats for point in _points(s)]
    progress = Progress("measurement", len(points))
    timings = []
    # A batch takes its size times the operations of one row, so each length is counted once.
    lengths = {(subject.name, length): subject.network for subject, *_, length in points}
    one_row = {key: flops(network, 1, key[1]) for key, network in lengths.items()}
    for done, point in enumerate(points):
        subject, _, _, batch_size, length = point
        counted = [batch_size * operations for operations in one_row[subject.name, length]]
        timings += _time_point(*point, counted, plan, device, seed)
        # A machine's speed drifts: only a peak that is looked for all along bounds what was timed in between.
        peaks = {p: max(peaks[p], found) for p, found in _peaks(device, formats).items()}
        progress.update(done + 1)
    return timings, peaks


def attempt(
    prepare: Callable[[], Sequence[Call]], device: torch.device, plan: Profile, *, warmup: int, at_least: int
) -> Repeats | None:
    """The repeats of the phases that ``prepare`` makes, for the plan's seconds; None where memory does not suffice."""
    try:
        return repeat(
            prepare(), device, warmup=warmup, at_least=at_least, for_seconds=plan.min_seconds,
            meter=energy_meter(device),
        )  # fmt: skip
    except torch.OutOfMemoryError:
        return None


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


def timing_rows(timings: Sequence[Timing], peaks: dict[str, float], seed: int) -> list[dict[str, Any]]:
    """Record rows: each timing's median with its interval, p90, p99, energy if metered, and the peaks."""
    rng = np.random.default_rng(seed)
    rows = [row for timing in timings for row in _rows(timing, peaks, rng)]
    return rows + [
        {"metric": "peak_flops_per_second", "value": peak, "unit": "FLOP/s", "n": 1,
         "conditions": {"precision": precision, "inputs": "product of two square matrices, best of several"}}
        for precision, peak in peaks.items()
    ]  # fmt: skip


def invalid(timings: Sequence[Timing], peaks: dict[str, float]) -> list[str]:
    """A sentence for each timing that cannot be right, because it would need more than the machine's peak."""
    return [
        f"Invalid measurement: {t.work} of the {t.conditions['network']} network at batch {t.conditions['batch_size']} "
        f"× {t.conditions['length']} would be {share:.2f} of this machine's peak."
        for t in timings
        if (share := t.share(peaks)) is not None and share > 1
    ]


def said(peaks: dict[str, float]) -> list[str]:
    """The machine's peak in each precision, for a reader."""
    return [f"Peak of this machine in {name}: {peak / 1e9:,.0f} GFLOP/s." for name, peak in peaks.items()]


def sizes(subjects: Sequence[Subject]) -> pd.DataFrame:
    """What the networks are, for a reader."""
    return pd.DataFrame(
        [
            {"network": subject.name, "weights": subject.weights, **models.summary(subject.network)}
            for subject in subjects
            if not subject.eager_control
        ]
    )


def summary(timings: Sequence[Timing], peaks: dict[str, float]) -> pd.DataFrame:
    """Percentiles of each timing and its share of the peak, for a reader."""
    return pd.DataFrame([_summary(timing, peaks) for timing in timings])


def write_timings(timings: Sequence[Timing], path: Path) -> None:
    """Every raw value as parquet: work, repeat, seconds, and the conditions as columns."""
    frames = [
        pd.DataFrame({"work": t.work, **t.conditions, "repeat": range(len(t.seconds)), "seconds": t.seconds})
        for t in timings
        if len(t.seconds)
    ]
    with written_atomically(path) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary)


def _points(subject: Subject) -> Iterator[tuple[str, int, int]]:
    """What is timed: (work, batch size, length)."""
    for work, grid in (("forward", subject.forward), ("training_step", subject.training_step)):
        if grid is not None:
            yield from ((work, batch_size, length) for batch_size in grid.batch_sizes for length in grid.lengths)


def _time_point(
    subject: Subject, precision: str, work: str, batch_size: int, length: int, counted: Sequence[int], plan: Profile,
    device: torch.device, seed: int,
) -> list[Timing]:  # fmt: skip
    """The timing of a forward pass, or those of a training step and its three parts."""

    def prepare() -> list[Call]:
        batch = random_batch(network, batch_size, length, device, seed)
        if work == "forward":
            return [Forward(network, batch, precision)]
        step = TrainingStep(network, batch, precision)
        return [step.forward, step.backward, step.optimizer]

    training = work == "training_step"
    conditions: Conditions = {
        **subject.conditions(device, precision),
        "batch_size": batch_size,
        "length": length,
        "dropout": dropout(subject.network) if training else 0.0,
        "inputs": "random tokens, no padding",
    }
    with placed(subject, device) as network, number_format(precision):
        found = attempt(prepare, device, plan, warmup=plan.warmup, at_least=subject.min_repeats)
    if found is None:
        return [Timing(work, np.empty(0), conditions)]
    total = Timing(work, found.seconds.sum(axis=1), conditions, sum(counted[: 1 + training]), found.joules)
    parts = [
        Timing(f"training_{part}", found.seconds[:, i], conditions, counted[i] if i < 2 else None)
        for i, part in enumerate(_STEP_PARTS)
        if training
    ]
    return [total, *parts]


def _peaks(device: torch.device, formats: Sequence[str]) -> dict[str, float]:
    peaks = {}
    for precision in formats:
        with number_format(precision):
            peaks[precision] = peak_flops(device, precision)
    return peaks


def _rows(timing: Timing, peaks: dict[str, float], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Record rows of one timing."""
    if not len(timing.seconds):
        conditions = timing.conditions | {"work": timing.work}
        return [{"metric": "out_of_memory", "value": 1, "unit": "1", "n": 1, "conditions": conditions}]
    share = timing.share(peaks)
    checked = {} if share is None else {"flops": timing.flops, "share_of_peak": share, "valid": share <= 1}
    common = {"n": len(timing.seconds), "conditions": timing.conditions | checked}
    interval = bootstrap_median(timing.seconds, rng)
    bounds = {"low": interval.low, "high": interval.high, "level": interval.level, "over": "repeats"}
    metric, unit = f"{timing.work}_seconds", _UNITS.get(timing.work, "s per call")
    rows = [{"metric": metric, "value": timing.median, "unit": unit, "interval": bounds, **common}]
    rows += [
        {"metric": f"{metric}_p{q}", "value": float(np.percentile(timing.seconds, q)), "unit": unit, **common}
        for q in (90, 99)
    ]
    if timing.joules is not None:
        rows.append({"metric": f"{timing.work}_joules", "value": timing.joules, "unit": "J per call", **common})
    return rows


def _summary(timing: Timing, peaks: dict[str, float]) -> dict[str, Any]:
    at, done = timing.conditions, len(timing.seconds) > 0
    share = timing.share(peaks)
    return {
        "network": f"{at['network']}, {at['attention']}",
        "precision": at["precision"],
        "work": timing.work.replace("_", " "),
        "batch": at["batch_size"],
        "tokens per row": at["length"],
        **{f"p{q} (s)": float(np.percentile(timing.seconds, q)) if done else "out of memory" for q in (50, 90, 99)},
        "repeats": len(timing.seconds),
        "share of peak": "" if share is None else f"{share:.0%}" + " INVALID" * (share > 1),
    }


def _check_lengths(subject: Subject) -> None:
    limit = getattr(subject.network.config, "max_position_embeddings", math.inf)
    prefix = "" if subject.name == "study" else "full_size_"
    grids = {"forward": [subject.forward], "memory": subject.memory}
    if subject.training_step is not None:
        grids["training_step"] = [subject.training_step]
    for name, found in grids.items():
        for grid in found:
            _check_length(f"profile.{prefix}{name}", grid, limit)


def _check_length(name: str, grid: Grid, limit: float) -> None:
    if (longest := max(grid.lengths)) > limit:
        raise StudyError(
            f"{name}.lengths: {longest} tokens, but the network takes {limit} (its config's "
            "max_position_embeddings); give lengths up to that"
        )
